//! A call in the terms of HTTP, by the rules of `google/api/http.proto`: path, query and body of
//! each kind of field.

use std::path::Path;

use genai_bridge::{Error, ErrorKind, Schema};
use protox::file::{
    ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver,
};

/// The messages of all cases; `RULE` stands for the rule of one case, `INPUT` for its request.
const PROTO: &str = r#"
    syntax = "proto3";
    package shop;
    import "google/api/annotations.proto";
    import "google/api/field_behavior.proto";
    import "google/api/httpbody.proto";
    import "google/protobuf/duration.proto";
    import "google/protobuf/field_mask.proto";
    import "google/protobuf/struct.proto";
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/wrappers.proto";
    service Shop { rpc Buy(INPUT) returns (Order) { option (google.api.http) = { RULE }; } }
    enum Colour { COLOUR_UNSPECIFIED = 0; RED = 1; }
    message Item { string name = 1; int64 count = 2; Item inside = 3; repeated string tags = 4; }
    message Order {
      string name = 1;
      Item item = 2;
      repeated Item items = 3;
      int64 big = 4;
      bool flag = 5;
      double ratio = 6;
      bytes blob = 7;
      Colour colour = 8;
      repeated Colour colours = 9;
      repeated int32 some_numbers = 10;
      optional string note = 11;
      google.protobuf.FieldMask update_mask = 12;
      google.protobuf.Timestamp time = 13;
      google.protobuf.Duration wait = 14;
      google.protobuf.StringValue label = 15;
      google.protobuf.Struct extra = 16;
      map<string, string> labels = 17;
      optional google.protobuf.NullValue nothing = 18;
      oneof choice { string word = 19; int32 number = 20; }
      google.api.HttpBody upload = 21;
      google.protobuf.Int64Value limit = 22;
      google.protobuf.BytesValue seal = 23;
    }
    message Required {
      string name = 1 [(google.api.field_behavior) = REQUIRED];
      int32 size = 2 [(google.api.field_behavior) = REQUIRED];
      Colour colour = 3 [(google.api.field_behavior) = REQUIRED];
      Item item = 4 [(google.api.field_behavior) = REQUIRED];
      repeated string tags = 5 [(google.api.field_behavior) = REQUIRED];
    }
"#;

/// Rule, request, verb and URL, body.
type Case = (&'static str, &'static str, &'static str, &'static str);

#[test]
fn fields_outside_path_and_body_go_into_the_query() {
    let cases: &[Case] = &[
        ("get: '/v1'", "{}", "GET /v1", ""),
        ("get: '/v1'", r#"{"big":"-9","flag":true}"#, "GET /v1?big=-9&flag=true", ""),
        ("get: '/v1'", r#"{"big":"0","flag":false,"ratio":0,"colour":0}"#, "GET /v1", ""),
        ("get: '/v1'", r#"{"note":"","word":""}"#, "GET /v1?note=&word=", ""),
        ("get: '/v1'", r#"{"ratio":1e100}"#, "GET /v1?ratio=1e%2B100", ""),
        ("get: '/v1'", r#"{"ratio":"-Infinity"}"#, "GET /v1?ratio=-Infinity", ""),
        ("get: '/v1'", r#"{"name":"a b+c&d=é/"}"#, "GET /v1?name=a%20b%2Bc%26d%3D%C3%A9%2F", ""),
        ("get: '/v1'", r#"{"blob":"+/8="}"#, "GET /v1?blob=-_8", ""),
        ("get: '/v1'", r#"{"colour":"RED"}"#, "GET /v1?colour=RED", ""),
        ("get: '/v1'", r#"{"colour":7}"#, "GET /v1?colour=7", ""),
        ("get: '/v1'", r#"{"nothing":null}"#, "GET /v1", ""),
        (
            "get: '/v1'",
            r#"{"someNumbers":[3,0,2],"colours":["RED",0]}"#,
            "GET /v1?colours=RED&colours=COLOUR_UNSPECIFIED&someNumbers=3&someNumbers=0&someNumbers=2",
            "",
        ),
        ("get: '/v1'", r#"{"item":{}}"#, "GET /v1", ""),
        (
            "get: '/v1'",
            r#"{"item":{"count":1,"inside":{"inside":{"name":"x","tags":["b","a"]}}}}"#,
            "GET /v1?item.count=1&item.inside.inside.name=x&item.inside.inside.tags=b&item.inside.inside.tags=a",
            "",
        ),
        (
            "get: '/v1'",
            r#"{"updateMask":"displayName,item.name"}"#,
            "GET /v1?updateMask=displayName%2Citem.name",
            "",
        ),
        (
            "get: '/v1'",
            r#"{"time":"2026-01-02T03:04:05.600Z","wait":"1.5s"}"#,
            "GET /v1?time=2026-01-02T03%3A04%3A05.600Z&wait=1.500s",
            "",
        ),
        ("get: '/v1'", r#"{"label":"a\"b","limit":"0"}"#, "GET /v1?label=a%22b&limit=0", ""),
        (
            "get: '/v1/{item.name}'",
            r#"{"item":{"name":"a","count":2}}"#,
            "GET /v1/a?item.count=2",
            "",
        ),
        // A field of the same number, elsewhere, is not the one that the path holds.
        ("get: '/v1/{name}'", r#"{"name":"a","item":{"name":"b"}}"#, "GET /v1/a?item.name=b", ""),
        ("post: '/v1/{name}'", r#"{"name":"a","big":1}"#, "POST /v1/a?big=1", ""),
    ];
    check("Order", cases);
}

#[test]
fn a_group_is_a_message_also_in_a_url() {
    const PROTO: &str = r#"
        syntax = "proto2";
        package shop;
        import "google/api/annotations.proto";
        service Shop { rpc Buy(Order) returns (Order) { option (google.api.http) = { get: 'PATH' }; } }
        message Order {
          optional group Item = 1 { optional string name = 1; optional int64 count = 2; }
          repeated group Part = 3 { optional int32 number = 1; }
        }
    "#;
    let request = br#"{"item":{"name":"a","count":2}}"#;
    for (path, url) in
        [("/v1", "/v1?item.count=2&item.name=a"), ("/v1/{item.name}", "/v1/a?item.count=2")]
    {
        let schema = compile(PROTO.replace("PATH", path)).expect("a schema");
        let wire = schema.message_from_json("shop.Order", request).expect("a message");
        let sent = schema.http_request("/shop.Shop/Buy", &wire).expect("a request");
        assert_eq!(sent.uri(), url);
        // The name in one part of the group, the count in another.
        let parts = [&[0x0b, 0x0a, 1, b'a', 0x0c][..], &[0x0b, 0x10, 2, 0x0c]].concat();
        assert_eq!(schema.http_request("/shop.Shop/Buy", &parts).expect("a request").uri(), url);
        let list = schema.http_request("/shop.Shop/Buy", &[&wire[..], &[0x1b, 0x1c]].concat());
        assert!(list.expect_err("a list of groups").to_string().contains("no form in a URL"));
    }
}

#[test]
fn a_required_field_is_in_the_query_also_at_its_default() {
    let cases: &[Case] = &[
        ("get: '/v1'", "{}", "GET /v1?colour=COLOUR_UNSPECIFIED&name=&size=0", ""),
        (
            "get: '/v1/{name}'",
            r#"{"name":"a","size":0}"#,
            "GET /v1/a?colour=COLOUR_UNSPECIFIED&size=0",
            "",
        ),
        ("post: '/v1/{name}' body: '*'", r#"{"name":"a"}"#, "POST /v1/a", "{}"),
        (
            "post: '/v1/{name}' body: 'size'",
            r#"{"name":"a"}"#,
            "POST /v1/a?colour=COLOUR_UNSPECIFIED",
            "0",
        ),
    ];
    check("Required", cases);
}

#[test]
fn the_body_holds_what_its_rule_says() {
    let cases: &[Case] = &[
        ("post: '/v1' body: '*'", "{}", "POST /v1", "{}"),
        (
            "post: '/v1/{name}' body: '*'",
            r#"{"name":"a","big":1,"colour":"RED"}"#,
            "POST /v1/a",
            r#"{"big":"1","colour":"RED"}"#,
        ),
        (
            "patch: '/v1/{item.name=items/*}' body: 'item'",
            r#"{"item":{"name":"items/1","count":2},"updateMask":"count"}"#,
            "PATCH /v1/items/1?updateMask=count",
            r#"{"count":"2"}"#,
        ),
        ("post: '/v1' body: 'item'", "{}", "POST /v1", "{}"),
        ("post: '/v1' body: 'items'", "{}", "POST /v1", "[]"),
        ("post: '/v1' body: 'name'", r#"{"name":"a"}"#, "POST /v1", r#""a""#),
        ("post: '/v1' body: 'labels'", r#"{"labels":{"a":"b"}}"#, "POST /v1", r#"{"a":"b"}"#),
        ("put: '/v1' body: 'word'", r#"{"word":""}"#, "PUT /v1", r#""""#),
        ("custom { kind: 'LOCK' path: '/v1' } body: '*'", "{}", "LOCK /v1", "{}"),
    ];
    check("Order", cases);
}

#[test]
fn the_body_keeps_fields_whose_number_the_path_holds_elsewhere() {
    let cases: &[Case] = &[
        (
            "post: '/v1/{name}' body: '*'",
            r#"{"name":"a","item":{"name":"b"},"items":[{"name":"c","inside":{"name":"d"}}],"labels":{"e":"f"}}"#,
            "POST /v1/a",
            r#"{"item":{"name":"b"},"items":[{"name":"c","inside":{"name":"d"}}],"labels":{"e":"f"}}"#,
        ),
        (
            "post: '/v1' body: 'item'",
            r#"{"item":{"name":"a","count":1,"inside":{"name":"b"},"tags":["c"]}}"#,
            "POST /v1",
            r#"{"name":"a","count":"1","inside":{"name":"b"},"tags":["c"]}"#,
        ),
        (
            "post: '/v1' body: 'items'",
            r#"{"items":[{"name":"a"},{"count":1}],"big":1}"#,
            "POST /v1?big=1",
            r#"[{"name":"a"},{"count":"1"}]"#,
        ),
    ];
    check("Order", cases);
}

#[test]
fn a_raw_body_is_sent_as_it_is() {
    let request = r#"{"name":"a","upload":{"contentType":"text/csv","data":"MSwy"}}"#;
    let found = send("Order", "post: '/v1/{name}' body: 'upload'", request).expect("a request");
    assert_eq!(found.uri(), "/v1/a");
    assert_eq!(found.headers()["content-type"], "text/csv");
    assert_eq!(found.body(), "1,2");
}

#[test]
fn the_first_binding_that_fits_is_taken() {
    let rule = "post: '/v1/{name=models/*}:run' body: '*'
        additional_bindings { post: '/v1/{name=tuned/*}:run' body: '*' }
        additional_bindings { get: '/v1/{name=**}' }";
    let cases: &[Case] = &[
        (rule, r#"{"name":"models/a:b"}"#, "POST /v1/models/a%3Ab:run", "{}"),
        (rule, r#"{"name":"tuned/a"}"#, "POST /v1/tuned/a:run", "{}"),
        (rule, r#"{"name":"models/a/b","big":1}"#, "GET /v1/models/a/b?big=1", ""),
    ];
    check("Order", cases);
    let error = send("Order", rule, "{}").expect_err("no name");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    for part in ["/shop.Shop/Buy", "`models/*`", "`tuned/*`", "`**`", "`name` is empty"] {
        assert!(error.to_string().contains(part), "{part} is not in: {error}");
    }
}

#[test]
fn what_no_url_can_hold_is_refused() {
    for (rule, request) in [
        ("get: '/v1'", r#"{"items":[{"name":"a"}]}"#),
        ("get: '/v1'", r#"{"labels":{"a":"b"}}"#),
        ("get: '/v1'", r#"{"extra":{"a":1}}"#),
        ("get: '/v1/{name}'", "{}"),
        ("get: '/v1/{item.name}'", "{}"),
        ("get: '/v1/{name=a/*}'", r#"{"name":"a/.."}"#),
    ] {
        let error = send("Order", rule, request).expect_err(request);
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{rule} {request}: {error}");
    }
}

#[test]
fn a_path_may_hold_any_scalar() {
    let cases: &[Case] = &[
        ("get: '/v1/{big}/{flag}'", "{}", "GET /v1/0/false", ""),
        ("get: '/v1/{colour}'", r#"{"colour":1}"#, "GET /v1/RED", ""),
        ("get: '/v1/{blob}'", r#"{"blob":"+/8="}"#, "GET /v1/-_8", ""),
        ("get: '/v1/{number}'", r#"{"number":-3}"#, "GET /v1/-3", ""),
    ];
    check("Order", cases);
}

/// Issue 15: one of them made the whole descriptor set unusable.
#[test]
fn a_rule_that_cannot_be_used_costs_its_method_the_rest_form_and_says_why() {
    for (rule, why) in [
        ("get: 'v1'", "does not begin with `/`"),
        ("get: '/v1/{nothing_like_it}'", "does not exist"),
        ("get: '/v1/{item}'", "is a message"),
        ("get: '/v1/{items}'", "is repeated"),
        ("get: '/v1/{labels}'", "is repeated"),
        ("get: '/v1/{items.name}'", "is repeated"),
        ("get: '/v1/{name.length}'", "inside a scalar"),
        ("get: '/v1/{name=***}'", "neither a literal nor a wildcard"),
        ("get: '/v1/{name=a/**/b}'", "not the last segment"),
        ("get: '/v1/{name={big}}'", "stands inside a variable"),
        ("get: '/v1/a b'", "cannot stand in a path"),
        ("get: '/v1?a=b'", "cannot stand in a path"),
        ("get: '/v1/../v2'", "would lead to another path"),
        ("post: '/v1' body: 'nothing_like_it'", "does not exist"),
        ("post: '/v1' body: 'item.name'", "does not exist"),
        ("get: '/v1' response_body: 'nothing_like_it'", "does not exist"),
        ("custom { kind: '*' path: '/v1' }", "stands for any verb"),
        ("custom { kind: 'A B' path: '/v1' }", "no HTTP method"),
        ("body: '*'", "no verb and path"),
    ] {
        let error = send("Order", rule, "{}").expect_err(rule);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{rule}");
        let text = error.to_string();
        assert!(text.contains(why) && text.contains("`/shop.Shop/Buy`"), "{rule}: {text}");
    }
}

#[test]
fn a_binding_that_cannot_be_used_leaves_the_others() {
    let cases: &[Case] = &[
        ("get: '/v1/{item}' additional_bindings { get: '/v2' }", "{}", "GET /v2", ""),
        ("get: '/v1' additional_bindings { get: '/v2/{item}' }", "{}", "GET /v1", ""),
        (
            "get: '/v1' additional_bindings { get: '/v2' additional_bindings { get: '/v3' } }",
            "{}",
            "GET /v1",
            "",
        ),
        (
            "custom { kind: '*' path: '/v1' } additional_bindings { put: '/v2' }",
            "{}",
            "PUT /v2",
            "",
        ),
    ];
    check("Order", cases);
}

fn check(input: &str, cases: &[Case]) {
    for (rule, request, line, body) in cases {
        let found =
            send(input, rule, request).unwrap_or_else(|error| panic!("{rule} {request}: {error}"));
        assert_eq!(format!("{} {}", found.method(), found.uri()), *line, "{rule} {request}");
        let found = String::from_utf8_lossy(found.body());
        assert_eq!(found, *body, "{rule} {request}");
    }
}

#[test]
fn of_a_large_value_that_is_set_again_in_its_wrapper_the_last_one_is_sent() {
    let schema = schema("Order", r#"post: "/v1/orders" body: "*""#).expect("a schema");
    let value = |byte| {
        let mut field = Vec::new();
        prost::encoding::bytes::encode(1, &vec![byte; 100_000], &mut field);
        field
    };
    let mut wire = Vec::new();
    prost::encoding::bytes::encode(23, &[value(b'a'), value(b'b')].concat(), &mut wire);
    let request = schema.http_request("/shop.Shop/Buy", &wire).expect("a request");
    let expected = base64_simd::STANDARD.encode_to_string(vec![b'b'; 100_000]);
    assert_eq!(request.body(), format!(r#"{{"seal":"{expected}"}}"#).as_bytes());
}

fn send(input: &str, rule: &str, request: &str) -> Result<http::Request<bytes::Bytes>, Error> {
    let schema = schema(input, rule)?;
    let wire = schema.message_from_json(&format!("shop.{input}"), request.as_bytes())?;
    schema.http_request("/shop.Shop/Buy", &wire)
}

fn schema(input: &str, rule: &str) -> Result<Schema, Error> {
    compile(PROTO.replace("INPUT", input).replace("RULE", rule))
}

fn compile(proto: String) -> Result<Schema, Error> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Source(proto));
    resolver.add(IncludeFileResolver::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("proto")));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file("shop.proto").expect("a proto");
    Schema::from_descriptor_set(&compiler.encode_file_descriptor_set())
}

/// A file that exists in memory alone.
struct Source(String);

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name {
            "shop.proto" => File::from_source(name, &self.0),
            _ => Err(protox::Error::file_not_found(name)),
        }
    }
}
