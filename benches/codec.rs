//! What the transcoder costs, in instructions: each payload written and read, beside another build
//! of this bench.
//!
//! `cargo bench --bench codec -- BINARY`, where BINARY is this bench as another checkout built it.
//! Without one, the figures alone. Instructions are counted by valgrind; `transcode` measures time,
//! beside other codecs.

use std::error::Error;
use std::hint::black_box;
use std::process::Command;

use genai_bridge::Schema;
use genai_bridge_benches::DESCRIPTORS;
use prost::Message;

#[allow(dead_code, reason = "without packets one count is enough")]
mod callgrind;
mod payloads;

use callgrind::counted;
use payloads::{compact, pretty};

/// What a cell may cost more than before.
const ALLOWED: f64 = 1.03;
/// Payloads, and how often each is transcoded.
const PAYLOADS: [(&str, usize); 7] = [
    ("chat request", 1000),
    ("chat answer", 1000),
    ("text", 50),
    ("image", 2),
    ("chunks", 20),
    ("embeddings", 2),
    ("nested", 200),
];

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", task, payload, times] => run(task, payload, times.parse()?),
        ["counts"] => {
            counts()?.iter().for_each(|count| println!("{count}"));
            Ok(())
        }
        [other] => {
            let output = Command::new(other).arg("counts").output()?;
            let before = String::from_utf8(output.stdout)?;
            let before = before.lines().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
            tell(&counts()?, Some(&before));
            Ok(())
        }
        _ => {
            tell(&counts()?, None);
            Ok(())
        }
    }
}

/// Instructions of each cell: the payloads written, then read.
fn counts() -> Result<Vec<f64>, Failure> {
    let mut counts = Vec::new();
    for task in ["write", "read"] {
        for (payload, times) in PAYLOADS {
            counts.push(callgrind::count(times, |times| {
                ["run", task, payload, times].map(str::to_owned).into()
            })?);
        }
    }
    Ok(counts)
}

fn tell(counts: &[f64], before: Option<&[f64]>) {
    println!("instructions (of before: at most {ALLOWED}):");
    println!("| payload | write | read |\n|---|---|---|");
    for (at, (payload, _)) in PAYLOADS.iter().enumerate() {
        let cell = |at: usize| {
            let ratio = before.map(|before| format!(" ({:.3})", counts[at] / before[at]));
            format!("{:.0}{}", counts[at], ratio.unwrap_or_default())
        };
        println!("| {payload} | {} | {} |", cell(at), cell(at + PAYLOADS.len()));
    }
}

/// Transcodes one payload so often.
fn run(task: &str, payload: &str, times: usize) -> Result<(), Failure> {
    let answer = "GenerateContentResponse";
    let (name, wire, json) = match payload {
        "chat request" => forms("GenerateContentRequest", &[payloads::chat_request()], pretty),
        "chat answer" => forms(answer, &[payloads::chat_answer()], pretty),
        "text" => forms(answer, &[payloads::long_text()], pretty),
        "image" => forms("GenerateContentRequest", &[payloads::image()], pretty),
        "chunks" => forms(answer, &payloads::chunks(), compact),
        "embeddings" => forms("BatchEmbedContentsResponse", &[payloads::embeddings()], pretty),
        _ => forms(answer, &[payloads::nested()], pretty),
    };
    let schema = Schema::from_descriptor_set(DESCRIPTORS)?;
    counted(|| {
        for _ in 0..times {
            if task == "write" {
                for wire in &wire {
                    black_box(schema.json_from_message(&name, black_box(wire))?);
                }
            } else {
                for json in &json {
                    black_box(
                        schema.message_from_json_ignoring_unknown(
                            &name,
                            black_box(json.as_bytes()),
                        )?,
                    );
                }
            }
        }
        Ok(())
    })
}

/// The name of the messages, and their two forms.
fn forms<M: Message>(
    name: &str,
    messages: &[M],
    print: fn(&M) -> String,
) -> (String, Vec<Vec<u8>>, Vec<String>) {
    let wire = messages.iter().map(Message::encode_to_vec).collect();
    let json = messages.iter().map(print).collect();
    (format!("google.ai.generativelanguage.v1beta.{name}"), wire, json)
}
