//! Own numbers: a program's own schema may use the numbers that the crate's own messages have for
//! what only REST has. There they mean what the program says.

use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::{Schema, Transport};
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use tonic::Code;

use crate::setting::{call, direct};

/// A field with the first number of the block, one with the last, an enum value, and one inside.
const PROTO: &str = r#"
    syntax = "proto3";
    package own;
    import "google/api/annotations.proto";
    service Own {
      rpc Echo(Note) returns (Note) { option (google.api.http) = { post: "/v1/note" body: "*" }; }
    }
    enum Mood { MOOD_UNSPECIFIED = 0; FINE = 2128000001; }
    message Note {
      string first = 266000000;
      Note inside = 266000001;
      repeated Mood moods = 1;
      string last = 266000383;
    }
"#;

fn descriptors() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("own.proto"), PROTO).expect("a file");
    let proto = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut compiler = protox::Compiler::new([folder.path(), &proto]).expect("folders");
    compiler.include_imports(true).open_file("own.proto").expect("a proto");
    compiler.encode_file_descriptor_set()
}

#[tokio::test]
async fn a_programs_own_fields_pass_over_both_transports() {
    let set = descriptors();
    let pool = DescriptorPool::decode(&set[..]).expect("a pool");
    let note = pool.get_message_by_name("own.Note").expect("a type");
    let said: Value = json!({
        "first": "a", "inside": {"last": "b", "moods": ["FINE"]}, "moods": ["FINE"], "last": "c",
    });
    let message = DynamicMessage::deserialize(note.clone(), &said).expect("a message");
    let emulator = Emulator::builder().descriptors(&set).start().await.expect("an emulator");
    emulator.on("/own.Own/Echo", Reply::message(&message));
    for transport in [Transport::Grpc, Transport::Rest, Transport::Auto] {
        let schema = Schema::from_descriptor_set(&set).expect("a schema");
        let bridge = direct(&emulator).schema(schema).transport(transport);
        let bridge = bridge.build().expect("a bridge");
        let outcome = call(bridge.clone(), "/own.Own/Echo", &message).await;
        assert_eq!(outcome.status.code(), Code::Ok, "{transport}: {:?}", outcome.status);
        let received = emulator.received().pop().expect("a call");
        for wire in [received.message(), &outcome.messages[0]] {
            let read = DynamicMessage::decode(note.clone(), wire.clone()).expect("a message");
            assert_eq!(serde_json::to_value(read).expect("JSON"), said, "{transport}");
        }
        if transport != Transport::Auto {
            assert_eq!(received.is_rest(), transport == Transport::Rest);
        }
        assert_eq!(bridge.stats().fields_left_out(), 0);
    }
}
