//! Wrong setting: what an option, a variable or a file says that cannot be used.

use std::borrow::Cow;
use std::io;

use genai_bridge::Error;

use super::remedy::on_the_command_line;
use super::tell::with_causes;

/// A setting that cannot be used.
#[derive(Debug)]
pub(super) struct WrongSetting {
    /// What is wrong with which one.
    pub(super) what: String,
    /// What to do about it, where that goes beyond the words above.
    pub(super) remedy: Option<Cow<'static, str>>,
}

impl WrongSetting {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self { what: what.into(), remedy: Some(remedy.into()) }
    }
}

impl From<Error> for WrongSetting {
    fn from(error: Error) -> Self {
        let remedy = error.advice().map(on_the_command_line);
        Self { remedy, what: on_the_command_line(&with_causes(&error)).into_owned() }
    }
}

/// For lines on stderr.
impl From<WrongSetting> for io::Error {
    fn from(WrongSetting { what, remedy }: WrongSetting) -> Self {
        Self::other(remedy.map_or(what.clone(), |remedy| format!("{what}\n  to do: {remedy}")))
    }
}
