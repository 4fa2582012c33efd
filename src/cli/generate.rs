//! Generate: `genai-bridge generate`.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use genai_bridge::gemini::reply::{Reply, ReplyError, collect_reply_with};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{GenerateContentRequest, GenerateContentResponse};
use genai_bridge::{ActiveTransport, Bridge, gemini};
use tonic::{Extensions, Status};

use super::connection::Connection;
use super::state::KeptVerdict;
use super::tell::{explain, tell, write_result};
use super::values::{model, seconds};
use super::wrong_setting::WrongSetting;

/// Asks a model and writes its answer to stdout. Everything else goes to stderr.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Arguments {
    /// What to ask
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    prompt: String,
    #[command(flatten)]
    connection: Connection,
    /// The model to ask
    #[arg(long, value_parser = model, default_value = "gemini-2.5-flash")]
    model: String,
    /// Writes the answer as it arrives
    #[arg(long)]
    stream: bool,
    /// Time limit for the whole call [default: 600]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  the whole answer was written
  1  there is no answer, or it is incomplete; stderr says why
  2  the command line cannot be read";

pub(super) async fn run(arguments: Arguments) -> io::Result<ExitCode> {
    let mut builder = arguments.connection.builder_with_credentials()?;
    if let Some(timeout) = arguments.timeout {
        builder = builder.default_deadline(timeout);
    }
    let verdict = KeptVerdict::of(arguments.connection.endpoint());
    let bridge = verdict.give_to(builder).build().map_err(WrongSetting::from)?;
    let client = GenerativeServiceClient::new(bridge.clone());
    let client = client.max_decoding_message_size(LARGEST_ANSWER);
    let request = gemini::prompt(&arguments.model, &arguments.prompt);
    let mut out = Output { written: String::new(), failure: None };
    let ended = if arguments.stream {
        stream(client, request, &mut out).await
    } else {
        whole(client, request).await
    };
    verdict.keep_of(&bridge);
    out.end(ended)
}

async fn whole(
    mut client: GenerativeServiceClient<Bridge>,
    request: GenerateContentRequest,
) -> Result<GenerateContentResponse, Status> {
    let answer = client.generate_content(request).await?;
    tell_transport(answer.extensions());
    Ok(answer.into_inner())
}

async fn stream(
    mut client: GenerativeServiceClient<Bridge>,
    request: GenerateContentRequest,
    out: &mut Output,
) -> Result<GenerateContentResponse, Status> {
    let answer = client.stream_generate_content(request).await?;
    tell_transport(answer.extensions());
    Ok(collect_reply_with(answer.into_inner(), |chunk| out.write(&chunk.text_so_far())).await?)
}

fn tell_transport(extensions: &Extensions) {
    if let Some(transport) = extensions.get::<ActiveTransport>() {
        tell(&format!("answered over {}", transport.as_str()));
    }
}

/// The terminal, and what it has been told.
struct Output {
    written: String,
    failure: Option<io::Error>,
}

impl Output {
    /// After a failure, such as a reader that has gone, nothing more is written.
    fn write(&mut self, text: &str) {
        if self.failure.is_none() {
            self.failure = write_result(text.as_bytes()).err();
            self.written.push_str(text);
        }
    }

    /// Writes what is left of the answer; what went wrong goes to stderr.
    fn end(mut self, ended: Result<GenerateContentResponse, Status>) -> io::Result<ExitCode> {
        let reply = match ended {
            Ok(reply) => reply.text().map_err(|error| (error.text().to_owned(), words_of(&error))),
            Err(status) => Err((String::new(), explain(&status))),
        };
        let text = match &reply {
            Ok(text) | Err((text, _)) => text,
        };
        let rest = text.strip_prefix(&self.written).unwrap_or_default().to_owned();
        self.write(&rest);
        if !self.written.is_empty() && !self.written.ends_with('\n') {
            self.write("\n");
        }
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        match reply {
            Ok(_) => Ok(ExitCode::SUCCESS),
            Err((_, words)) => {
                tell(&words);
                Ok(ExitCode::FAILURE)
            }
        }
    }
}

fn words_of(error: &ReplyError) -> String {
    format!("{error}\n  to do: {}", error.advice())
}

/// tonic's default of 4 MiB is too small for an answer with images.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;
