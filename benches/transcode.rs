//! Transcoding against what else one would use, by payload; ends with a table of ratios.
//!
//! Absolute times depend on the machine and its load: read the ratios, all taken in one run.

mod payloads;
mod table;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use genai_bridge::Schema;
use genai_bridge_benches::DESCRIPTORS;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .output_directory(&table::folder())
        .configure_from_args();
    let all = Rivals::new();
    let request = "GenerateContentRequest";
    let answer = "GenerateContentResponse";
    all.measure(
        &mut criterion,
        "chat request",
        request,
        &[payloads::chat_request()],
        payloads::pretty,
    );
    all.measure(
        &mut criterion,
        "chat answer",
        answer,
        &[payloads::chat_answer()],
        payloads::pretty,
    );
    all.measure(&mut criterion, "text", answer, &[payloads::long_text()], payloads::pretty);
    all.measure(&mut criterion, "image", request, &[payloads::image()], payloads::pretty);
    all.measure(&mut criterion, "chunks", answer, &payloads::chunks(), payloads::compact);
    let vectors = [payloads::embeddings()];
    all.measure(
        &mut criterion,
        "embeddings",
        "BatchEmbedContentsResponse",
        &vectors,
        payloads::pretty,
    );
    all.measure(&mut criterion, "nested", answer, &[payloads::nested()], payloads::pretty);
    measure_first_call(&mut criterion);
    criterion.final_summary();
    table::print();
}

/// The same messages in each form that a way of transcoding starts from.
struct Forms<M> {
    typed: Vec<M>,
    wire: Vec<Vec<u8>>,
    json: Vec<String>,
}

struct Rivals {
    schema: Schema,
    pool: DescriptorPool,
}

impl Rivals {
    fn new() -> Self {
        Self {
            schema: Schema::from_descriptor_set(DESCRIPTORS).expect("a schema"),
            pool: DescriptorPool::decode(DESCRIPTORS).expect("a pool"),
        }
    }

    fn measure<M>(
        &self,
        criterion: &mut Criterion,
        payload: &str,
        name: &str,
        messages: &[M],
        print: fn(&M) -> String,
    ) where
        M: Message + Default + Clone + Serialize + DeserializeOwned,
    {
        let name = format!("google.ai.generativelanguage.v1beta.{name}");
        let dynamic = self.pool.get_message_by_name(&name).expect("the message");
        let forms = Forms {
            typed: messages.to_vec(),
            wire: messages.iter().map(Message::encode_to_vec).collect(),
            json: messages.iter().map(print).collect(),
        };
        let mut writing = criterion.benchmark_group(format!("write {payload}"));
        writing.throughput(Throughput::Bytes(
            forms.json.iter().map(String::len).sum::<usize>() as u64
        ));
        self.write(&mut writing, &name, &dynamic, &forms);
        writing.finish();
        let mut reading = criterion.benchmark_group(format!("read {payload}"));
        self.read(&mut reading, &name, &dynamic, &forms);
        reading.finish();
    }

    fn write<M>(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        name: &str,
        dynamic: &MessageDescriptor,
        forms: &Forms<M>,
    ) where
        M: Message + Default + Serialize,
    {
        each(group, "bridge", &forms.wire, |wire| {
            self.schema.json_from_message(name, wire).expect("JSON")
        });
        each(group, "pbjson typed", &forms.typed, |typed| serde_json::to_vec(typed).expect("JSON"));
        each(group, "pbjson from wire", &forms.wire, |wire| {
            serde_json::to_vec(&M::decode(wire.as_slice()).expect("a message")).expect("JSON")
        });
        each(group, "prost-reflect", &forms.wire, |wire| {
            let message = DynamicMessage::decode(dynamic.clone(), wire.as_slice());
            serde_json::to_vec(&message.expect("a message")).expect("JSON")
        });
        each(group, "memcpy", &forms.json, |json| json.clone());
        each(group, "base64-simd", &forms.wire, |wire| {
            base64_simd::STANDARD.encode_to_string(wire)
        });
    }

    fn read<M>(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        name: &str,
        dynamic: &MessageDescriptor,
        forms: &Forms<M>,
    ) where
        M: Message + DeserializeOwned,
    {
        each(group, "bridge", &forms.json, |json| {
            self.schema.message_from_json_ignoring_unknown(name, json.as_bytes()).expect("wire")
        });
        each(group, "pbjson typed", &forms.json, |json| {
            serde_json::from_str::<M>(json).expect("a message")
        });
        each(group, "pbjson to wire", &forms.json, |json| {
            serde_json::from_str::<M>(json).expect("a message").encode_to_vec()
        });
        each(group, "prost-reflect", &forms.json, |json| {
            let mut from = serde_json::Deserializer::from_str(json);
            DynamicMessage::deserialize(dynamic.clone(), &mut from)
                .expect("a message")
                .encode_to_vec()
        });
        each(group, "serde_json Value", &forms.json, |json| {
            serde_json::from_str::<serde_json::Value>(json).expect("JSON")
        });
        each(group, "serde_json IgnoredAny", &forms.json, |json| {
            IgnoredAny::deserialize(&mut serde_json::Deserializer::from_str(json)).expect("JSON")
        });
        each(group, "memcpy", &forms.json, |json| json.clone());
        let base64: Vec<String> =
            forms.wire.iter().map(|wire| base64_simd::STANDARD.encode_to_string(wire)).collect();
        each(group, "base64-simd", &base64, |text| base64_simd::STANDARD.decode_to_vec(text));
    }
}

/// Measures one way over all inputs.
fn each<I, O>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    way: &str,
    inputs: &[I],
    transcode: impl Fn(&I) -> O,
) {
    group.bench_function(way, |bencher| {
        bencher.iter(|| {
            for input in inputs {
                black_box(transcode(black_box(input)));
            }
        });
    });
}

/// From descriptors to the first JSON text.
fn measure_first_call(criterion: &mut Criterion) {
    let wire = payloads::chat_request().encode_to_vec();
    let name = "google.ai.generativelanguage.v1beta.GenerateContentRequest";
    let mut group = criterion.benchmark_group("first call");
    each(&mut group, "bridge", std::slice::from_ref(&wire), |wire| {
        let schema = Schema::from_descriptor_set(DESCRIPTORS).expect("a schema");
        schema.json_from_message(name, wire).expect("JSON")
    });
    each(&mut group, "prost-reflect", std::slice::from_ref(&wire), |wire| {
        let pool = DescriptorPool::decode(DESCRIPTORS).expect("a pool");
        let message = pool.get_message_by_name(name).expect("the message");
        let message = DynamicMessage::decode(message, wire.as_slice()).expect("a message");
        serde_json::to_vec(&message).expect("JSON")
    });
    group.finish();
}
