//! Download: `genai-bridge download`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::io::stdout;

use super::connection::Connection;
use super::transfer::{Version, failed, show};
use super::values::resource;
use super::wrong_setting::WrongSetting;

/// Downloads a file that the service made, over REST. Resumes after an interruption.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, mut_arg("transport", |option| option.hide(true)))]
pub(super) struct Arguments {
    /// The file's name, such as files/abc-123
    #[arg(value_parser = resource)]
    name: String,
    #[command(flatten)]
    connection: Connection,
    /// The file to write, or - for stdout
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// The version of the API
    #[arg(long, value_enum, default_value = "v1beta")]
    api_version: Version,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  the whole file was written
  1  the whole file was not written; stderr says why
  2  the command line cannot be read";

pub(super) async fn run(arguments: Arguments) -> io::Result<ExitCode> {
    let builder = arguments.connection.builder_with_credentials()?;
    let bridge = builder.build().map_err(WrongSetting::from)?;
    let download = arguments.api_version.of(bridge.files()).download(&arguments.name);
    let bar = show(download.progress());
    let written = if arguments.output.as_os_str() == "-" {
        download.write_to(&mut stdout()).await
    } else {
        download.write_to_path(&arguments.output).await
    };
    bar.await;
    Ok(written.map_or_else(|status| failed(&status), |_| ExitCode::SUCCESS))
}
