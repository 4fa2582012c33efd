//! Envoy's `grpc_json_transcoder`, in each of its ways to write streams and errors.

use genai_bridge::Transport;
use tonic::Code;

use super::{Api, cases, compare, service};
use crate::bed::Bed;

/// A name, the options of the filter, and those of HTTP/1.1.
const WAYS: &[(&str, &str, &str)] = &[
    ("array", "convert_grpc_status: true", TRAILERS),
    (
        "lines",
        "convert_grpc_status: true\n              print_options: {stream_newline_delimited: true}",
        TRAILERS,
    ),
    (
        "events",
        "convert_grpc_status: true\n              print_options: {stream_sse_style_delimited: true}",
        TRAILERS,
    ),
    (
        "numbers",
        "convert_grpc_status: true\n              print_options: {always_print_enums_as_ints: true, \
         preserve_proto_field_names: true, always_print_primitive_fields: true, add_whitespace: true}",
        TRAILERS,
    ),
    // As it is by itself: errors stand in headers, and those after messages nowhere.
    ("bare", "convert_grpc_status: false", "{}"),
];
/// Errors that end a stream travel in the trailers of HTTP/1.1.
const TRAILERS: &str = "{enable_trailers: true}";

const LISTENER: &str = r#"  - name: NAME
    address: {socket_address: {address: 127.0.0.1, port_value: @port NAME@}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: NAME
          http_protocol_options: HTTP
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: CLUSTER, timeout: 5s}}]}]}
          http_filters:
          - name: transcoder
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder
              proto_descriptor: "@FOLDER@/api.binpb"
              services: [shop.v1.Shop, google.ai.generativelanguage.v1beta.GenerativeService]
              OPTIONS
          - {name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"#;

#[tokio::test]
#[ignore = "needs Envoy"]
async fn envoy_gives_what_grpc_gives() {
    let api = Api::compile();
    let service = service(&api).await;
    let mut bed = Bed::new("transcoder").await;
    std::fs::write(bed.folder.join("api.binpb"), &api.descriptors).expect("a file");
    let mut listeners: String =
        WAYS.iter().map(|(name, options, http)| listener(name, "service", options, http)).collect();
    listeners.push_str(&listener("down", "closed", "convert_grpc_status: true", TRAILERS));
    let model = include_str!("../conf/transcoder.yaml");
    let text = model.replace("@LISTENERS@\n", &listeners);
    let text = text.replace("@SERVICE_PORT@", &service.address().port().to_string());
    let text = bed.fill(text);
    bed.write("transcoder.yaml", &text);
    let configuration = bed.folder.join("transcoder.yaml");
    bed.start("envoy", |envoy| {
        envoy
            .args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "warning", "-c"])
            .arg(&configuration);
    });
    bed.ready().await;
    let mut faults = Vec::new();
    for (name, _, http) in WAYS {
        let endpoint = format!("http://127.0.0.1:{}", bed.port(name));
        let mut cases = cases(&api);
        if *http != TRAILERS {
            // What is not on the wire cannot be told.
            cases.retain(|case| case.error.is_none() || case.messages.is_empty());
        }
        let name = format!("envoy, {name}");
        faults.extend(compare(&api, &service, &name, &endpoint, &cases, |_| {}).await);
        // It still lives, or its log is told.
        bed.ready().await;
    }
    let mut bridge = api.bridge(&format!("http://127.0.0.1:{}", bed.port("down")), Transport::Rest);
    for case in cases(&api) {
        let seen = api.call(&mut bridge, &case).await;
        let is_told = seen.message.contains("upstream connect error");
        if seen.code != Code::Unavailable || !is_told {
            faults.push(format!("envoy itself: {seen:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn listener(name: &str, cluster: &str, options: &str, http: &str) -> String {
    let listener = LISTENER.replace("NAME", name).replace("CLUSTER", cluster);
    listener.replace("OPTIONS", options).replace("HTTP", http)
}
