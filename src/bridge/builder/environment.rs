//! Environment: the settings that variables of the environment hold.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::BridgeBuilder;
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::network::Proxy;

impl BridgeBuilder {
    /// The API key from `GEMINI_API_KEY`, else from `GOOGLE_API_KEY`; `build` fails without either.
    pub fn api_key_from_env(mut self) -> Self {
        self.credentials = Credentials::from_env(|name| env::var(name).ok());
        self
    }

    /// Reads the key and the settings from the environment:
    ///
    /// | variable | setting |
    /// |---|---|
    /// | `GEMINI_API_KEY`, else `GOOGLE_API_KEY` | [`api_key_from_env`](Self::api_key_from_env) |
    /// | `GENAI_BRIDGE_ENDPOINT` | [`endpoint`](Self::endpoint) |
    /// | `GENAI_BRIDGE_TRANSPORT` | [`transport`](Self::transport): `auto`, `grpc`, `rest` |
    /// | `GENAI_BRIDGE_PROXY` | [`proxy`](Self::proxy): a URL, or `none` |
    /// | `GENAI_BRIDGE_ROOT_CERTIFICATES` | [`add_root_certificates`](Self::add_root_certificates): files, separated by commas |
    /// | `GENAI_BRIDGE_CLIENT_CERTIFICATE`, `GENAI_BRIDGE_CLIENT_KEY` | [`client_identity`](Self::client_identity): two files |
    /// | `GENAI_BRIDGE_CONNECT_TIMEOUT` | [`connect_timeout`](Self::connect_timeout): whole seconds |
    /// | `GENAI_BRIDGE_RESEND` | [`resend`](Self::resend): `never`, `when-unprocessed`, `when-unanswered` |
    /// | `GENAI_BRIDGE_PARAMETERS` | [`parameters`](Self::parameters): `off`, `warn`, `reject` |
    ///
    /// The command line uses the same names. A variable that is not set, or empty, leaves its
    /// setting as it is. What you set on the builder after this call replaces it. If a value cannot
    /// be read, `build` fails; its error names the variable and, except for the proxy, the value.
    pub fn from_env(self) -> Self {
        self.with_variables(|name| env::var_os(name))
    }

    fn with_variables(mut self, lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        self.credentials = Credentials::from_env(|name| lookup(name)?.into_string().ok());
        match (Variables { lookup }).read_into(&mut self) {
            Ok(()) => self,
            Err(wrong) => {
                self.environment.get_or_insert(wrong);
                self
            }
        }
    }
}

struct Variables<F> {
    lookup: F,
}

impl<F: Fn(&str) -> Option<OsString>> Variables<F> {
    fn read_into(&self, builder: &mut BridgeBuilder) -> Result<(), Error> {
        if let Some(endpoint) = self.text("GENAI_BRIDGE_ENDPOINT")? {
            builder.endpoint = endpoint;
        }
        if let Some(transport) = self.named("GENAI_BRIDGE_TRANSPORT")? {
            builder.transport = transport;
        }
        if let Some(resend) = self.named("GENAI_BRIDGE_RESEND")? {
            builder.resend = resend;
        }
        if let Some(check) = self.named("GENAI_BRIDGE_PARAMETERS")? {
            builder.parameters = check;
        }
        if let Some(Seconds(timeout)) = self.named("GENAI_BRIDGE_CONNECT_TIMEOUT")? {
            builder.connect_timeout = Some(timeout);
        }
        match self.text("GENAI_BRIDGE_PROXY")?.as_deref() {
            None => {}
            Some("none") => builder.proxy = Proxy::none(),
            // It may hold a password.
            Some(url) => {
                let of_variable = |error| wrong("GENAI_BRIDGE_PROXY", "cannot be used", error);
                builder.proxy = Proxy::url(url).map_err(of_variable)?;
            }
        }
        self.read_files_into(builder)
    }

    fn read_files_into(&self, builder: &mut BridgeBuilder) -> Result<(), Error> {
        let roots = self.text(ROOTS)?.unwrap_or_default();
        for file in roots.split(',').filter(|file| !file.is_empty()) {
            builder.roots.push(read_file(ROOTS, file)?);
        }
        match (self.text(CERTIFICATE)?, self.text(KEY)?) {
            (None, None) => {}
            (Some(chain), Some(key)) => {
                let identity = (read_file(CERTIFICATE, &chain)?, read_file(KEY, &key)?);
                builder.client_identity = Some(identity);
            }
            (Some(_), None) => return Err(alone(CERTIFICATE, KEY)),
            (None, Some(_)) => return Err(alone(KEY, CERTIFICATE)),
        }
        Ok(())
    }

    /// `None` if it is not set, or empty.
    fn text(&self, name: &'static str) -> Result<Option<String>, Error> {
        let Some(value) = (self.lookup)(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let text = value.into_string();
        text.map(Some).map_err(|_| {
            Error::new(ErrorKind::Configuration, format!("environment: {name} is not in UTF-8"))
        })
    }

    /// A value that has a name.
    fn named<T>(&self, name: &'static str) -> Result<Option<T>, Error>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|error: T::Err| {
            let what = format!("environment: {name} cannot be used: {error}");
            Error::new(ErrorKind::Configuration, what)
        })
    }
}

/// A time as the command line takes it.
struct Seconds(Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
        let time = seconds.map(|seconds| Self(Duration::from_secs(seconds)));
        time.ok_or_else(|| format!("{text:?} is not a whole number of seconds, 1 or more"))
    }
}

fn read_file(name: &'static str, file: &str) -> Result<Vec<u8>, Error> {
    // Whoever takes the variable for the file's content has put a private key into it.
    if file.contains("-----BEGIN") {
        let what = format!("environment: {name} takes the name of a file, not what is in it");
        return Err(Error::new(ErrorKind::Configuration, what));
    }
    let what = || format!("file {file:?} cannot be read");
    fs::read(Path::new(file)).map_err(|error| wrong(name, &what(), error))
}

fn wrong(
    name: &str,
    what: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let text = format!("environment: {name}: {what}");
    Error::new(ErrorKind::Configuration, text).with_source(source)
}

fn alone(name: &str, other: &str) -> Error {
    let what = format!("environment: {name} is set and {other} is not");
    Error::new(ErrorKind::Configuration, what)
}

const ROOTS: &str = "GENAI_BRIDGE_ROOT_CERTIFICATES";
const CERTIFICATE: &str = "GENAI_BRIDGE_CLIENT_CERTIFICATE";
const KEY: &str = "GENAI_BRIDGE_CLIENT_KEY";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::Bridge;
    use crate::bridge::options::{ParameterCheck, ResendPolicy, Transport};

    fn builder(variables: &[(&str, &str)]) -> BridgeBuilder {
        let of = |name: &str| variables.iter().find(|(variable, _)| *variable == name);
        let key = |name: &str| (name == "GEMINI_API_KEY").then(|| "a-key".into());
        let lookup = |name: &str| of(name).map(|(_, value)| value.into()).or_else(|| key(name));
        Bridge::builder().proxy(Proxy::none()).with_variables(lookup)
    }

    #[test]
    fn each_variable_is_a_setting() {
        let builder = builder(&[
            ("GENAI_BRIDGE_ENDPOINT", "https://service.test"),
            ("GENAI_BRIDGE_TRANSPORT", "rest"),
            ("GENAI_BRIDGE_RESEND", "never"),
            ("GENAI_BRIDGE_PARAMETERS", "reject"),
            ("GENAI_BRIDGE_CONNECT_TIMEOUT", "7"),
            ("GENAI_BRIDGE_PROXY", "http://user:secret@proxy.test:3128"),
        ]);
        assert_eq!(builder.endpoint, "https://service.test");
        assert_eq!(builder.transport, Transport::Rest);
        assert_eq!(builder.resend, ResendPolicy::Never);
        assert_eq!(builder.parameters, ParameterCheck::Reject);
        assert_eq!(builder.connect_timeout, Some(Duration::from_secs(7)));
        let built = builder.build_parts().expect("a bridge");
        let proxy = built.network.proxy_for(&built.origin).expect("a proxy").to_string();
        assert!(proxy.contains("proxy.test:3128") && !proxy.contains("secret"), "{proxy}");
    }

    #[test]
    fn what_is_not_set_stays_and_what_is_set_later_counts_more() {
        let before = Bridge::builder().transport(Transport::Grpc).resend(ResendPolicy::Never);
        let empty = |name: &str| (name == "GENAI_BRIDGE_TRANSPORT").then(OsString::new);
        let builder = before.with_variables(empty);
        assert_eq!(builder.transport, Transport::Grpc);
        assert_eq!(builder.resend, ResendPolicy::Never);
        let error = builder.build().expect_err("no key");
        assert_eq!(error.kind(), ErrorKind::Credentials);
        let builder = self::builder(&[("GENAI_BRIDGE_TRANSPORT", "rest")]);
        assert_eq!(builder.transport(Transport::Auto).transport, Transport::Auto);
    }

    #[test]
    fn a_bad_value_is_an_error_of_build_that_names_it() {
        for (name, value, told) in [
            ("GENAI_BRIDGE_TRANSPORT", "GRPC", r#"no transport is called "GRPC""#),
            ("GENAI_BRIDGE_RESEND", "always", r#"no resend policy is called "always""#),
            ("GENAI_BRIDGE_PARAMETERS", "1", r#"no parameter check is called "1""#),
            ("GENAI_BRIDGE_CONNECT_TIMEOUT", "5s", r#""5s" is not a whole number"#),
            ("GENAI_BRIDGE_CONNECT_TIMEOUT", "0", r#""0" is not a whole number"#),
            ("GENAI_BRIDGE_PROXY", "ftp://user:secret@a", "cannot be used"),
            (ROOTS, "/nowhere/roots.pem", r#"file "/nowhere/roots.pem" cannot be read"#),
            (CERTIFICATE, "/nowhere/client.pem", "GENAI_BRIDGE_CLIENT_KEY is not"),
            (KEY, "/nowhere/client.key", "GENAI_BRIDGE_CLIENT_CERTIFICATE is not"),
            (ROOTS, "-----BEGIN PRIVATE KEY-----\nsecret", "takes the name of a file"),
        ] {
            let error = builder(&[(name, value)]).build().expect_err("a bad value");
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(told), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
        // An endpoint is checked like any other.
        let error = builder(&[("GENAI_BRIDGE_ENDPOINT", "ftp://a")]).build().expect_err("bad");
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_an_error_too() {
        use std::os::unix::ffi::OsStringExt as _;
        let lookup = |name: &str| match name {
            "GENAI_BRIDGE_TRANSPORT" => Some(OsString::from_vec(vec![0xff])),
            "GEMINI_API_KEY" => Some("a-key".into()),
            _ => None,
        };
        let error = Bridge::builder().with_variables(lookup).build().expect_err("no text");
        assert!(error.to_string().contains("GENAI_BRIDGE_TRANSPORT is not in UTF-8"), "{error}");
    }
}
