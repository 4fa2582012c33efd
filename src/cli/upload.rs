//! Upload: `genai-bridge upload`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use genai_bridge::files::{Files, Upload};
use tokio::io::stdin;
use tonic::Status;

use super::connection::Connection;
use super::tell::{tell, write_result};
use super::transfer::{Version, failed, show};
use super::values::{mime_type, resource, seconds};
use super::wrong_setting::WrongSetting;

/// Uploads a file over REST, and writes its name to stdout. Resumes after an interruption.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, mut_arg("transport", |option| option.hide(true)))]
pub(super) struct Arguments {
    /// The file, or - for stdin
    file: PathBuf,
    #[command(flatten)]
    connection: Connection,
    /// The file's MIME type, such as video/mp4 [default: from the file's name]
    #[arg(long, value_name = "TYPE", value_parser = mime_type)]
    mime_type: Option<String>,
    /// The name that people see [default: the file's name]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    display_name: Option<String>,
    /// Uploads a document to this store, such as fileSearchStores/mine, and writes the operation's
    /// name in place of the file's
    #[arg(long, value_name = "STORE", value_parser = resource)]
    store: Option<String>,
    /// Waits until the service has processed the file, up to this time
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "store")]
    wait: Option<Duration>,
    /// The version of the API
    #[arg(long, value_enum, default_value = "v1beta")]
    api_version: Version,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  the service has the file
  1  the upload failed, and the service has no file;
     or --wait ran out, and the service still has the file;
     or processing failed, and the service still has the file; stderr says which
  2  the command line cannot be read";

pub(super) async fn run(arguments: Arguments) -> io::Result<ExitCode> {
    let builder = arguments.connection.builder_with_credentials()?;
    let bridge = builder.build().map_err(WrongSetting::from)?;
    let files = arguments.api_version.of(bridge.files());
    match upload(&arguments, &files).await {
        Ok(name) => write_result(format!("{name}\n").as_bytes()).map(|()| ExitCode::SUCCESS),
        Err(status) => Ok(failed(&status)),
    }
}

async fn upload(arguments: &Arguments, files: &Files) -> Result<String, Status> {
    let upload = prepare(arguments, files);
    let bar = show(upload.progress());
    if let Some(store) = &arguments.store {
        let operation = upload.send_to_store(store).await;
        bar.await;
        return operation.map(|operation| operation.name);
    }
    let file = upload.send().await;
    bar.await;
    let file = file?;
    match arguments.wait {
        Some(limit) => files.wait_until_active(&file.name, limit).await.map(|file| file.name),
        None => Ok(file.name),
    }
}

fn prepare(arguments: &Arguments, files: &Files) -> Upload {
    let path = &arguments.file;
    let is_stdin = path.as_os_str() == "-";
    let upload = if is_stdin { files.upload_from(stdin(), None) } else { files.upload(path) };
    let guessed = || mime_guess::from_path(path).first().map(|mime| mime.to_string());
    let mime_type = arguments.mime_type.clone().or_else(guessed);
    if mime_type.is_none() {
        tell(
            "the file's name does not tell its MIME type, and models may not read it: use --mime-type",
        );
    }
    let upload = match mime_type {
        Some(mime_type) => upload.mime_type(mime_type),
        None => upload,
    };
    let own_name = || path.file_name().filter(|_| !is_stdin);
    let own_name = || own_name().map(|name| name.to_string_lossy().into_owned());
    match arguments.display_name.clone().or_else(own_name) {
        Some(name) => upload.display_name(name),
        None => upload,
    }
}
