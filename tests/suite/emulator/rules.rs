//! HTTP rules, of Gemini and of a schema of one's own.

use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::longrunning::{GetOperationRequest, ListOperationsRequest};
use genai_bridge::v1beta::{CachedContent, UpdateCachedContentRequest};
use prost::Message;
use protox::Error;
use protox::file::{
    ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver,
};
use serde_json::{Value, json};

use super::client::rest;
use super::plain;

const LIBRARY: &str = r#"
syntax = "proto3";
package library;
import "google/api/annotations.proto";
import "google/api/httpbody.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/field_mask.proto";

message Book {
  string name = 1;
  Shelf shelf = 2;
  repeated string tags = 3;
  repeated Kind kinds = 4;
  bytes cover = 5;
  int64 pages = 6;
  bool lent = 7;
  double weight = 8;
  google.protobuf.Duration loan = 9;
  google.protobuf.FieldMask mask = 10;
  map<string, string> notes = 11;
}
message Shelf { string name = 1; int32 row = 2; Shelf next = 3; }
enum Kind { NONE = 0; NOVEL = 1; ATLAS = 2; }

service Library {
  rpc Get(Book) returns (Book) {
    option (google.api.http) = { get: "/v1/{name=shelves/*/books/*}" additional_bindings { get: "/v1/loans/{name}" } };
  }
  rpc Put(Book) returns (Book) {
    option (google.api.http) = { put: "/v1/{shelf.name=shelves/*}/book" body: "shelf" response_body: "tags" };
  }
  rpc Tag(Book) returns (Book) {
    option (google.api.http) = { post: "/v1/tags" body: "tags" response_body: "shelf" };
  }
  rpc Find(Book) returns (Book) {
    option (google.api.http) = { custom: { kind: "REPORT" path: "/v1/{name=**}:find" } };
  }
  rpc Page(google.api.HttpBody) returns (google.api.HttpBody) {
    option (google.api.http) = { post: "/v1/page" body: "*" };
  }
}
"#;

struct InMemory(String);

impl FileResolver for InMemory {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        match name {
            "library.proto" => File::from_source(name, &self.0),
            _ => Err(Error::file_not_found(name)),
        }
    }
}

fn library() -> Vec<u8> {
    compile(LIBRARY)
}

fn compile(source: &str) -> Vec<u8> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(InMemory(source.to_owned()));
    resolver.add(IncludeFileResolver::new("proto".into()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file("library.proto").unwrap();
    compiler.encode_file_descriptor_set()
}

/// The last message received, as canonical JSON of its type.
fn last(emulator: &Emulator, type_name: &str) -> Value {
    let pool = prost_reflect::DescriptorPool::decode(library().as_slice()).unwrap();
    let descriptor = pool.get_message_by_name(type_name).unwrap();
    let wire = emulator.received().pop().unwrap().message().clone();
    let message = prost_reflect::DynamicMessage::decode(descriptor, wire).unwrap();
    serde_json::to_value(&message).unwrap()
}

#[tokio::test]
async fn path_query_and_body_make_one_message() {
    let builder = Emulator::builder().plaintext().descriptors(&library());
    let emulator = builder.start().await.unwrap();
    let cases = [
        ("GET", "/v1/shelves/1/books/a%20b", "", json!({"name": "shelves/1/books/a b"})),
        ("GET", "/v1/loans/a%2Fb", "", json!({"name": "a/b"})),
        (
            "GET",
            "/v1/loans/x?shelf.name=s&shelf.next.row=-3&tags=b&tags=a&kinds=NOVEL&kinds=2&lent=true",
            "",
            json!({"name": "x", "shelf": {"name": "s", "next": {"row": -3}}, "tags": ["b", "a"],
                   "kinds": ["NOVEL", "ATLAS"], "lent": true}),
        ),
        (
            "GET",
            "/v1/loans/x?cover=_-8%3D&pages=9007199254740993&weight=1.5&loan=1.5s&mask=shelf.next,name&key=k&alt=json",
            "",
            json!({"name": "x", "cover": "/+8=", "pages": "9007199254740993", "weight": 1.5,
                   "loan": "1.500s", "mask": "shelf.next,name"}),
        ),
        (
            "PUT",
            "/v1/shelves/7/book?name=n",
            r#"{"row": 2, "name": "overruled"}"#,
            json!({"name": "n", "shelf": {"name": "shelves/7", "row": 2}}),
        ),
        ("POST", "/v1/tags?name=n", r#"["a", "b"]"#, json!({"name": "n", "tags": ["a", "b"]})),
        ("REPORT", "/v1/a/b:c:find", "", json!({"name": "a/b:c"})),
    ];
    for (verb, target, body, expected) in cases {
        let answer = rest(&emulator, verb, target, body).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert_eq!(last(&emulator, "library.Book"), expected, "{target}");
    }
    for target in [
        "/v1/loans/x?name=y",
        "/v1/loans/x?shelf=s",
        "/v1/loans/x?pages=1.5",
        "/v1/loans/x?lent=yes",
        "/v1/loans/x?kinds=COMIC",
        "/v1/loans/x?lent=true&lent=true",
        "/v1/loans/x?notes=a",
        "/v1/loans/x?tags.x=a",
        "/v1/loans/x?alt=xml",
    ] {
        assert_eq!(rest(&emulator, "GET", target, "").await.status, 400, "{target}");
    }
    assert_eq!(rest(&emulator, "PUT", "/v1/shelves/7/book?shelf.row=1", "{}").await.status, 400);
}

#[tokio::test]
async fn a_response_body_is_one_field_and_an_http_body_is_raw() {
    let builder = Emulator::builder().plaintext().descriptors(&library());
    let emulator = builder.start().await.unwrap();
    // Book: tags 3, shelf 2 with row 2.
    emulator.once("/library.Library/Put", Reply::encoded(b"\x1a\x01a\x1a\x01b".as_slice()));
    emulator.once("/library.Library/Tag", Reply::encoded(b"\x12\x02\x10\x05".as_slice()));
    let answers = [
        ("PUT", "/v1/shelves/7/book", json!(["a", "b"])),
        ("PUT", "/v1/shelves/7/book", json!([])),
        ("POST", "/v1/tags", json!({"row": 5})),
        ("POST", "/v1/tags", json!({})),
    ];
    for (verb, target, expected) in answers {
        assert_eq!(rest(&emulator, verb, target, "").await.json(), expected, "{verb} {target}");
    }
    emulator.on("/library.Library/Page", Reply::encoded(b"\x0a\x08text/css\x12\x02a{".as_slice()));
    let answer = rest(&emulator, "POST", "/v1/page", "not json").await;
    assert_eq!((answer.header("content-type"), answer.text()), ("text/css", "a{"));
    let expected = json!({"contentType": "application/json", "data": "bm90IGpzb24="});
    assert_eq!(last(&emulator, "google.api.HttpBody"), expected);
}

#[tokio::test]
async fn operations_are_served_at_the_rules_of_the_service_configuration() {
    let emulator = plain().await;
    let cases = [
        ("GET", "/v1/batches/b", "GetOperation", "batches/b"),
        (
            "GET",
            "/v1/ragStores/r/upload/operations/o",
            "GetOperation",
            "ragStores/r/upload/operations/o",
        ),
        ("GET", "/v1beta/tunedModels/t/operations/o", "GetOperation", "tunedModels/t/operations/o"),
        ("GET", "/v1/operations", "ListOperations", "operations"),
        ("GET", "/v1beta/batches", "ListOperations", "batches"),
        ("GET", "/v1beta/models/m/operations", "ListOperations", "models/m"),
        ("DELETE", "/v1/operations/a/b", "DeleteOperation", "operations/a/b"),
        (
            "POST",
            "/v1/tunedModels/t/operations/o:cancel",
            "CancelOperation",
            "tunedModels/t/operations/o",
        ),
        ("POST", "/v1beta/batches/b:cancel", "CancelOperation", "batches/b"),
    ];
    for (verb, target, method, name) in cases {
        let answer = rest(&emulator, verb, target, "").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}\n"), "{target}");
        let call = emulator.received().pop().unwrap();
        assert_eq!(call.method(), format!("/google.longrunning.Operations/{method}"));
        let expected = match method {
            "ListOperations" => {
                ListOperationsRequest { name: name.to_owned(), ..Default::default() }
                    .encode_to_vec()
            }
            // The others have the name alone, at the same number.
            _ => GetOperationRequest { name: name.to_owned() }.encode_to_vec(),
        };
        assert_eq!(call.message(), &expected, "{target}");
    }
    assert_eq!(rest(&emulator, "GET", "/v1/operations/o", "").await.status, 404);
}

#[tokio::test]
async fn an_update_takes_its_mask_from_the_query() {
    let emulator = plain().await;
    let target = "/v1beta/cachedContents/c?updateMask=expireTime,displayName";
    let answer = rest(&emulator, "PATCH", target, r#"{"displayName": "d"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = UpdateCachedContentRequest {
        cached_content: Some(CachedContent {
            name: Some("cachedContents/c".to_owned()),
            display_name: Some("d".to_owned()),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["expire_time".to_owned(), "display_name".to_owned()],
        }),
        ..Default::default()
    };
    assert_eq!(emulator.received()[0].message(), &expected.encode_to_vec());
}

#[tokio::test]
async fn a_wrong_rule_is_refused_at_the_start() {
    let wrong = compile(&LIBRARY.replace("/v1/tags", "/v1/{title}"));
    let refusal = Emulator::builder().plaintext().descriptors(&wrong).start().await.unwrap_err();
    let text = "the HTTP rule of /library.Library/Tag: library.Book has no field title";
    assert_eq!(refusal.to_string(), text);
}
