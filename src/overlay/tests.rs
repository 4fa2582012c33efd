//! Where a field may hide that only REST has: in groups, in an `Any`, in maps, in packed values.

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    Any, DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
};

use super::*;
use crate::json::push_varint;
use crate::proto::google::ai::generativelanguage::v1beta;
use v1beta::generate_content_response::UsageMetadata;
use v1beta::{ServiceTier, ThinkingConfig, thinking_config::ThinkingLevel};

const PACKAGE: &str = ".google.ai.generativelanguage.v1beta";

fn field(name: &str, number: i32, kind: Type, of: &str) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.into()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(kind.into()),
        type_name: Some(of.into()),
        ..Default::default()
    }
}

/// The crate's own messages, and `own.Outer`: a group `inner` of `config`, `usage` and `text`, and
/// an `any`.
fn schema() -> (Schema, MessageId) {
    let usage = format!("{PACKAGE}.GenerateContentResponse.UsageMetadata");
    let text = FieldDescriptorProto { type_name: None, ..field("text", 3, Type::String, "") };
    let inner = DescriptorProto {
        name: Some("Inner".into()),
        field: vec![
            field("config", 1, Type::Message, &format!("{PACKAGE}.ThinkingConfig")),
            field("usage", 2, Type::Message, &usage),
            text,
        ],
        ..Default::default()
    };
    let outer = DescriptorProto {
        name: Some("Outer".into()),
        field: vec![
            field("inner", 1, Type::Group, ".own.Outer.Inner"),
            field("any", 2, Type::Message, ".google.protobuf.Any"),
        ],
        nested_type: vec![inner],
        ..Default::default()
    };
    let file = FileDescriptorProto {
        name: Some("own.proto".into()),
        package: Some("own".into()),
        message_type: vec![outer],
        ..Default::default()
    };
    // Sets one after the other are one set of all their files, whose extensions stay.
    let own = FileDescriptorSet { file: vec![file] }.encode_to_vec();
    let set = [crate::proto::DESCRIPTORS, &own].concat();
    let schema = Schema::from_descriptor_set(&set).expect("a schema");
    let id = schema.message_id("own.Outer").expect("the message");
    (schema, id)
}

fn delimited(number: u64, inside: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_varint(&mut out, number << 3 | 2);
    push_varint(&mut out, inside.len() as u64);
    [out, inside.to_vec()].concat()
}

fn group(inside: &[u8]) -> Vec<u8> {
    [&[1 << 3 | 3][..], inside, &[1 << 3 | 4]].concat()
}

fn thinking(level: ThinkingLevel) -> Vec<u8> {
    let budget = Some(7);
    let config = ThinkingConfig {
        thinking_level: level.into(),
        thinking_budget: budget,
        ..Default::default()
    };
    config.encode_to_vec()
}

fn usage(tier: ServiceTier) -> Vec<u8> {
    let total_token_count = 9;
    UsageMetadata { total_token_count, service_tier: tier.into(), ..Default::default() }
        .encode_to_vec()
}

fn any(kind: &str, value: &[u8]) -> Vec<u8> {
    let type_url = format!("type.googleapis.com{}", kind.replacen('.', "/", 1));
    Any { type_url, value: value.to_vec() }.encode_to_vec()
}

fn reduced(bytes: Vec<u8>) -> OverGrpc {
    let (schema, id) = schema();
    over_grpc(&schema, id, &bytes.into()).expect("a message")
}

fn without(message: Vec<u8>) -> OverGrpc {
    OverGrpc::Without { message: message.into(), left_out: 1 }
}

#[test]
fn a_group_loses_what_may_be_left_out_and_is_held_back_by_what_may_not() {
    let text = delimited(3, b"text");
    let of = |tier| group(&[delimited(2, &usage(tier)), text.clone()].concat());
    let (plain, flex) = (ServiceTier::Unspecified, ServiceTier::Flex);
    let behind = delimited(2, &any(PACKAGE, b""));
    let both = |tier| [of(tier), behind.clone()].concat();
    assert_eq!(reduced(both(plain)), OverGrpc::Whole);
    assert_eq!(reduced(both(flex)), without(both(plain)));

    let pinned = group(&[text.clone(), delimited(1, &thinking(ThinkingLevel::High))].concat());
    assert_eq!(reduced(pinned), OverGrpc::Not { field: "inner.config.thinking_level".into() });
    let unset = group(&delimited(1, &thinking(ThinkingLevel::Unspecified)));
    assert_eq!(reduced(unset), OverGrpc::Whole);
}

#[test]
fn an_any_is_looked_into_where_its_type_is_known() {
    let config = format!("{PACKAGE}.ThinkingConfig");
    let of_usage = format!("{PACKAGE}.GenerateContentResponse.UsageMetadata");
    let of = |kind: &str, value: &[u8]| delimited(2, &any(kind, value));
    let high = thinking(ThinkingLevel::High);
    assert_eq!(reduced(of(&config, &high)), OverGrpc::Not { field: "any.thinking_level".into() });
    let (plain, flex) = (usage(ServiceTier::Unspecified), usage(ServiceTier::Flex));
    assert_eq!(reduced(of(&of_usage, &flex)), without(of(&of_usage, &plain)));
    // In a group, in an Any.
    let nested = |usage: &[u8]| {
        of(".own.Outer", &group(&[delimited(2, usage), delimited(3, b"text")].concat()))
    };
    assert_eq!(reduced(nested(&flex)), without(nested(&plain)));
    // Of another type the bytes may be anything, and so is a value without a type.
    assert_eq!(reduced(of(".of.nobody", &high)), OverGrpc::Whole);
    assert_eq!(reduced(delimited(2, &delimited(2, &high))), OverGrpc::Whole);
    let twice = [of(".of.nobody", &high), of(&config, &high)].concat();
    assert!(matches!(reduced(twice), OverGrpc::Not { .. }), "each one is looked at");
}

#[test]
fn what_is_no_message_is_refused_and_never_followed_too_deep() {
    let (schema, id) = schema();
    let high = thinking(ThinkingLevel::High);
    let in_group = group(&delimited(1, &high));
    let (_, cut) = in_group.split_last().expect("an end");
    let other_end = [cut, &[2 << 3 | 4]].concat();
    let mut deep = delimited(2, &any(&format!("{PACKAGE}.ThinkingConfig"), &high));
    for _ in 0..200 {
        deep = delimited(2, &any(".own.Outer", &deep));
    }
    for bytes in [cut.to_vec(), other_end, deep] {
        let error = over_grpc(&schema, id, &bytes.into()).expect_err("no message").to_string();
        assert!(error.contains("the request message"), "{error}");
    }
}
