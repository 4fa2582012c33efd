//! Verify: `genai-bridge verify`: what the bridge assumes of the service, asked of the service.

mod front;
mod paid;
mod question;
mod transfer;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use genai_bridge::{Bridge, BridgeBuilder, Transport};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::connection::Connection;
use super::report::ReportOptions;
use super::tell::{tell, write_result};
use super::wrong_setting::WrongSetting;
use question::{Question, Seen, Setting, Verdict};

/// Checks what genai-bridge assumes about the real service, and shows each answer.
///
/// You need a key. The command checks both transports. The calls are free, unless you add
/// --spend-tokens. One file of 1 KB is uploaded and removed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXIT_CODES,
    mut_arg("transport", |option| option.hide(true)),
    mut_arg("timeout", |option| option.help(TIMEOUT)),
    mut_arg("spend_tokens", |option| option.help(SPEND_TOKENS)),
)]
pub(super) struct Arguments {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    report: ReportOptions,
}

const TIMEOUT: &str = "Time limit for each question [default: 20]";
const SPEND_TOKENS: &str = "Also asks four questions that cost some hundred tokens";

const EXIT_CODES: &str = "\
Exit codes:
  0  the service answers each question as genai-bridge assumes
  2  the command line cannot be read
  3  an answer is different, or did not come
  4  the service refuses the key
  5  the service cannot be reached
  6  a setting cannot be used";

pub(super) async fn run(arguments: Arguments) -> io::Result<ExitCode> {
    let setting = match arguments.setting() {
        Ok(setting) => setting,
        Err(wrong) => return arguments.tell_misconfigured(wrong),
    };
    let mut report = Report { answers: Vec::new(), refuses_key: false };
    for question in all() {
        if !question.costs || arguments.report.spend_tokens {
            if io::stderr().is_terminal() {
                tell(&format!("asking: {}", question.name));
            }
            let patience = arguments.report.timeout.unwrap_or(PATIENCE);
            let answer = ask(question, &setting, patience).await;
            report.refuses_key |= answer.refuses_key;
            report.answers.push(answer);
        } else {
            let seen = Seen::new(Verdict::Skipped, "it costs tokens: --spend-tokens");
            report.answers.push(Answer::new(question, seen, None));
        }
    }
    let endpoint = arguments.connection.endpoint();
    let text =
        if arguments.report.json { report.to_json(endpoint) } else { report.to_text(endpoint) };
    write_result(without_secrets(text).as_bytes())?;
    Ok(ExitCode::from(report.exit_code()))
}

impl Arguments {
    fn setting(&self) -> Result<Setting, WrongSetting> {
        let bridge = |transport| -> Result<Bridge, WrongSetting> {
            let builder: BridgeBuilder = self.connection.builder_with_credentials()?;
            Ok(builder.transport(transport).build()?)
        };
        let (grpc, rest) = (bridge(Transport::Grpc)?, bridge(Transport::Rest)?);
        let model = self.report.model.trim_start_matches("models/");
        Ok(Setting { grpc, rest, model: format!("models/{model}") })
    }

    /// A program that reads JSON reads why nothing was asked, too.
    fn tell_misconfigured(&self, wrong: WrongSetting) -> io::Result<ExitCode> {
        if self.report.json {
            let report = json!({
                "endpoint": self.connection.endpoint(),
                "exit_code": MISCONFIGURED,
                "answers": [],
                "error": wrong.what,
                "advice": wrong.remedy,
            });
            write_result(format!("{report:#}\n").as_bytes())?;
        } else {
            tell(&io::Error::from(wrong).to_string());
        }
        Ok(ExitCode::from(MISCONFIGURED))
    }
}

/// Every question, in the order in which they are asked.
fn all() -> impl Iterator<Item = &'static Question> {
    front::QUESTIONS.iter().chain(&transfer::QUESTIONS).chain(&paid::QUESTIONS)
}

async fn ask(question: &'static Question, setting: &Setting, patience: Duration) -> Answer {
    let began = Instant::now();
    let seen = timeout(patience, (question.ask)(setting)).await;
    let late = || Seen::new(Verdict::Unanswered, format!("no answer in {patience:?}"));
    Answer::new(question, seen.unwrap_or_else(|_| late()), Some(began.elapsed()))
}

struct Answer {
    question: &'static Question,
    verdict: Verdict,
    seen: String,
    refuses_key: bool,
    took: Option<Duration>,
}

impl Answer {
    fn new(question: &'static Question, seen: Seen, took: Option<Duration>) -> Self {
        let Seen { verdict, text, refuses_key } = seen;
        Self { question, verdict, seen: text, refuses_key, took }
    }

    fn to_text(&self) -> String {
        let Self { question, verdict, seen, .. } = self;
        let lines = format!(
            "{:<11} {}: {}\n            {seen}\n",
            verdict.name(),
            question.name,
            question.asks
        );
        if *verdict == Verdict::Otherwise {
            lines + "            assumed: " + question.assumed + "\n"
        } else {
            lines
        }
    }
}

struct Report {
    answers: Vec<Answer>,
    refuses_key: bool,
}

impl Report {
    fn exit_code(&self) -> u8 {
        let is = |answer: &Answer, verdict| answer.verdict == verdict;
        let reach = |answer: &&Answer| question::REACH.contains(&answer.question.name);
        let is_cut_off =
            self.answers.iter().filter(reach).all(|answer| is(answer, Verdict::Unanswered));
        let differs =
            |answer: &Answer| is(answer, Verdict::Otherwise) || is(answer, Verdict::Unanswered);
        match (is_cut_off, self.refuses_key, self.answers.iter().any(differs)) {
            (true, _, _) => UNREACHABLE,
            (false, true, _) => REFUSED,
            (false, false, true) => OTHERWISE,
            (false, false, false) => 0,
        }
    }

    fn to_json(&self, endpoint: &str) -> String {
        let answers: Vec<Value> = self
            .answers
            .iter()
            .map(|answer| {
                let took =
                    answer.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
                json!({
                    "question": answer.question.name,
                    "asks": answer.question.asks,
                    "assumed": answer.question.assumed,
                    "verdict": answer.verdict.name(),
                    "seen": answer.seen,
                    "milliseconds": took,
                })
            })
            .collect();
        let report =
            json!({"endpoint": endpoint, "exit_code": self.exit_code(), "answers": answers});
        format!("{report:#}\n")
    }

    fn to_text(&self, endpoint: &str) -> String {
        let answers = self.answers.iter().map(Answer::to_text);
        let count = |verdict| self.answers.iter().filter(|one| one.verdict == verdict).count();
        let [same, other, none, skipped] = Verdict::ALL.map(count);
        format!(
            "genai-bridge verify: {endpoint}\n\n{}\n{same} as assumed, {other} otherwise, {none} unanswered, {skipped} skipped\n",
            answers.collect::<String>()
        )
    }
}

/// A peer may repeat the key in what it says.
fn without_secrets(mut text: String) -> String {
    for name in ["GEMINI_API_KEY", "GOOGLE_API_KEY"] {
        if let Some(key) = std::env::var(name).ok().filter(|key| key.len() >= SHORTEST_KEY) {
            text = text.replace(&key, "(key hidden)");
        }
    }
    text
}

const PATIENCE: Duration = Duration::from_secs(20);
/// What is shorter may be a word.
const SHORTEST_KEY: usize = 6;
const OTHERWISE: u8 = 3;
const REFUSED: u8 = 4;
const UNREACHABLE: u8 = 5;
const MISCONFIGURED: u8 = 6;
