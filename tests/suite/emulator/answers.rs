//! What is answered, and what is recorded of the question.

use std::sync::Arc;

use bytes::Bytes;
use flate2::read::GzDecoder;
use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::v1beta::{
    BidiGenerateContentClientMessage, BidiGenerateContentServerMessage, CountTokensRequest,
    GenerateContentRequest, GetModelRequest, ListModelsRequest, ListModelsResponse, Model,
};
use http::{HeaderValue, Method, Version};
use prost::Message;
use tokio::sync::Semaphore;
use tonic::Code;
use tonic::codegen::tokio_stream::{self, StreamExt};

use super::client::{Answer, Client, Direct, grpc, grpc_request, request, rest, send};
use super::{GENERATE, GENERATE_URL, GET_MODEL, LIST, plain, quota};

fn named(name: &str) -> Model {
    Model { name: name.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn one_tls_port_carries_grpc_and_rest_over_both_versions() {
    let emulator = Emulator::start().await.unwrap();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let request = request(&emulator, "GET", "/v1beta/models?pageSize=2", "");
        let answer = Answer::read(send(&emulator, version, request).await).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/json; charset=UTF-8");
        assert_eq!(answer.json()["models"][0]["name"], "models/gemini-2.5-flash");
        assert_eq!(answer.json()["nextPageToken"], "2");
    }
    let list = ListModelsRequest { page_size: 2, ..Default::default() };
    let answer = grpc(&emulator, LIST, &list).await;
    assert_eq!(answer.grpc_status().code(), Code::Ok);
    let list_models = ListModelsResponse::decode(answer.body.slice(5..)).unwrap();
    assert_eq!(list_models.models.len(), 2);

    assert_eq!(emulator.count(LIST), 3);
    let received = emulator.received();
    assert!(received.iter().all(|call| call.message() == &list.encode_to_vec()));
    assert_eq!(received[1].target(), "/v1beta/models?pageSize=2");
    assert_eq!(received[0].verb(), Method::GET);
    let roads = received.iter().map(|call| (call.is_rest(), call.version()));
    let expected = [(true, Version::HTTP_11), (true, Version::HTTP_2), (false, Version::HTTP_2)];
    assert_eq!(roads.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn an_unchanged_generated_client_talks_to_it() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Direct::client(&emulator).await;
    let request = GenerateContentRequest { model: "models/m".to_owned(), ..Default::default() };
    let answer = client.generate_content(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.model_version, "m");
    let stream = client.stream_generate_content(request.clone()).await.unwrap().into_inner();
    let messages: Vec<_> = stream.map(Result::unwrap).collect().await;
    assert_eq!(messages.len(), 6);
    assert_eq!(messages[5].candidates[0].finish_reason, 1);
    emulator.once(GENERATE, Reply::error(quota()));
    let status = client.generate_content(request).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "ça va trop vite"));
    assert_eq!(status.details(), quota().details());
}

#[tokio::test]
async fn a_client_stream_is_answered_after_its_first_message() {
    let emulator = plain().await;
    let mut client = Direct::client(&emulator).await;
    let first = BidiGenerateContentClientMessage::default();
    let open = tokio_stream::once(first).chain(tokio_stream::pending());
    let mut answers = client.bidi_generate_content(open).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap();
    assert_eq!(answer, Some(BidiGenerateContentServerMessage::default()));
    assert_eq!(answers.message().await.unwrap(), None);
    assert_eq!(emulator.reset_streams(), 0);
}

#[tokio::test]
async fn queued_answers_come_first_and_in_order() {
    let emulator = plain().await;
    emulator.on(GET_MODEL, Reply::message(&named("standing")));
    emulator.once(GET_MODEL, Reply::message(&named("first")));
    emulator.once(GET_MODEL, Reply::message(&named("second")));
    for expected in ["first", "second", "standing", "standing"] {
        let answer = rest(&emulator, "GET", "/v1beta/models/m", "").await;
        assert_eq!(answer.text(), format!("{{\n  \"name\": \"{expected}\"\n}}\n"));
    }
    emulator.clear();
    assert_eq!(emulator.received().len(), 0);
    let answer = rest(&emulator, "GET", "/v1beta/models/gemini-2.5-pro", "").await;
    assert_eq!(answer.json()["displayName"], "Gemini 2.5 Pro");
    let answer = rest(&emulator, "GET", "/v1beta/models/m", "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (404, &404.into()));
}

#[tokio::test]
async fn metadata_travels_on_both_and_trailers_on_grpc() {
    let emulator = plain().await;
    let reply = Reply::message(&named("n"))
        .metadata("x-note", "one")
        .metadata("x-note", "two")
        .metadata("x-raw-bin", [0, 255])
        .trailer("x-late", "three");
    emulator.on(GET_MODEL, reply);
    let grpc = grpc(&emulator, GET_MODEL, &GetModelRequest::default()).await;
    let rest = rest(&emulator, "GET", "/v1beta/models/m", "").await;
    for answer in [&grpc, &rest] {
        let notes: Vec<_> = answer.headers.get_all("x-note").iter().collect();
        assert_eq!(notes, ["one", "two"]);
        assert_eq!(answer.header("x-raw-bin"), "AP8");
    }
    assert_eq!(grpc.trailers["x-late"], "three");
    assert_eq!(rest.header("server"), "scaffolding on HTTPServer2");
    assert_eq!(rest.headers.get_all("vary").iter().count(), 3);
}

#[tokio::test]
async fn what_the_client_accepts_is_compressed() {
    let emulator = plain().await;
    emulator.on(GET_MODEL, Reply::message(&named("squeezed")).compressed());
    let mut asked = request(&emulator, "GET", "/v1beta/models/m", "");
    asked.headers_mut().insert("accept-encoding", HeaderValue::from_static("br, gzip"));
    let answer = Answer::read(send(&emulator, Version::HTTP_11, asked).await).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    let text = std::io::read_to_string(GzDecoder::new(&*answer.body)).unwrap();
    assert!(text.contains("squeezed"));

    let mut asked = grpc_request(&emulator, GET_MODEL, &GetModelRequest::default());
    asked.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static("identity,gzip"));
    let answer = Answer::read(send(&emulator, Version::HTTP_2, asked).await).await;
    assert_eq!((answer.header("grpc-encoding"), answer.body[0]), ("gzip", 1));

    let plain = grpc(&emulator, GET_MODEL, &GetModelRequest::default()).await;
    assert_eq!((plain.header("grpc-encoding"), plain.body[0]), ("", 0));
    assert!(rest(&emulator, "GET", "/v1beta/models/m", "").await.text().contains("squeezed"));
}

#[tokio::test]
async fn a_compressed_request_is_recorded_plain() {
    let emulator = plain().await;
    let mut client =
        Direct::client(&emulator).await.send_compressed(tonic::codec::CompressionEncoding::Gzip);
    let request = GenerateContentRequest { model: "models/m".repeat(99), ..Default::default() };
    client.generate_content(request.clone()).await.unwrap();
    assert_eq!(emulator.received()[0].message(), &request.encode_to_vec());
}

#[tokio::test]
async fn enums_are_names_or_numbers_and_json_is_pretty_or_not() {
    let emulator = plain().await;
    let pretty = rest(&emulator, "POST", GENERATE_URL, "{}").await;
    assert!(pretty.text().contains("\"finishReason\": \"STOP\",\n"), "{}", pretty.text());
    let target = format!("{GENERATE_URL}?%24alt=json%3Benum-encoding=int&$prettyPrint=0");
    let compact = rest(&emulator, "POST", &target, "{}").await;
    assert!(compact.text().contains("\"finishReason\":1,"), "{}", compact.text());
    assert!(!compact.text().trim_end().contains('\n'));
}

#[tokio::test]
async fn a_gate_holds_each_message_until_it_has_a_permit() {
    let emulator = plain().await;
    let gate = Arc::new(Semaphore::new(0));
    emulator.on(GENERATE, Reply::encoded(Bytes::new()).gate(Arc::clone(&gate)));
    let call = rest(&emulator, "POST", GENERATE_URL, "{}");
    let opening = async {
        emulator.received_when(1).await;
        gate.add_permits(1);
    };
    let (answer, ()) = tokio::join!(call, opening);
    assert_eq!((answer.text(), gate.available_permits()), ("{}\n", 0));
}

#[tokio::test]
async fn no_more_streams_are_open_than_allowed() {
    let builder = Emulator::builder().plaintext().max_concurrent_streams(1);
    let emulator = builder.start().await.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    emulator.on(GENERATE, Reply::encoded(Bytes::new()).gate(Arc::clone(&gate)));
    let mut client = Direct::client(&emulator).await;
    // Until the settings have come, a client may open more, which are refused.
    client.count_tokens(CountTokensRequest::default()).await.unwrap();
    let call = async |mut client: Client| {
        client.generate_content(GenerateContentRequest::default()).await.unwrap();
    };
    let opening = async {
        emulator.received_when(2).await;
        gate.add_permits(1);
        let received = emulator.received_when(3).await;
        assert_eq!((received.len(), gate.available_permits()), (3, 0));
        gate.add_permits(1);
    };
    tokio::join!(call(client.clone()), call(client.clone()), opening);
    assert_eq!(emulator.count(GENERATE), 2);
}
