//! Values: what an option takes, and the words for what it does not.

use std::net::SocketAddr;
use std::time::Duration;

use http::uri::Authority;
use tracing::level_filters::LevelFilter;

/// # Errors
/// It is not a whole number of seconds, from 1 to a year.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    seconds_from(1, text)
}

/// # Errors
/// It is not a whole number of seconds, from 0 to a year.
pub(super) fn seconds_or_none(text: &str) -> Result<Duration, String> {
    seconds_from(0, text)
}

fn seconds_from(least: u64, text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (least..=A_YEAR).contains(seconds));
    let expected = || format!("not a whole number of seconds from {least} to {A_YEAR}");
    seconds.map(Duration::from_secs).ok_or_else(expected)
}

/// # Errors
/// It is not a whole number, 1 or more.
pub(super) fn count<N: TryFrom<u32>>(text: &str) -> Result<N, String> {
    let number = text.parse::<u32>().ok().filter(|number| *number > 0);
    let number = number.and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| format!("not a whole number from 1 to {}", u32::MAX))
}

/// # Errors
/// It cannot be the name of a model.
pub(super) fn model(text: &str) -> Result<String, String> {
    let (kind, name) = text.split_once('/').unwrap_or(("models", text));
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte);
    let is_name = !name.is_empty() && name.bytes().all(is_of_name);
    if is_name && ["models", "tunedModels", "dynamic"].contains(&kind) {
        return Ok(text.to_owned());
    }
    Err("not the name of a model, such as gemini-2.5-flash".to_owned())
}

/// # Errors
/// It cannot be the name of a file, or of a store, at the service.
pub(super) fn resource(text: &str) -> Result<String, String> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_part = |part: &str| !part.trim_matches('.').is_empty() && part.bytes().all(is_of_name);
    if text.split('/').all(is_part) {
        return Ok(text.to_owned());
    }
    Err("not a name at the service, such as files/abc-123 or fileSearchStores/mine".to_owned())
}

/// # Errors
/// It is not a MIME type.
pub(super) fn mime_type(text: &str) -> Result<String, String> {
    let is_visible = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let parts = text.split_once('/');
    if is_visible
        && parts.is_some_and(|(kind, rest)| !kind.trim().is_empty() && !rest.trim().is_empty())
    {
        return Ok(text.to_owned());
    }
    Err("not a MIME type, such as video/mp4".to_owned())
}

/// # Errors
/// It is not a name, with or without a port.
pub(super) fn host(text: &str) -> Result<String, String> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte);
    let authority = text.parse::<Authority>().ok().filter(|_| text.bytes().all(is_of_name));
    let name = authority.filter(|name| {
        let has_port = text.len() > name.host().len();
        !name.host().is_empty() && has_port == name.port_u16().is_some()
    });
    name.map(|_| text.to_owned())
        .ok_or_else(|| "not a host name, such as bridge.corp or bridge.corp:8443".to_owned())
}

/// # Errors
/// It is a name, or a port alone.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let expected = "not an IP address with a port, such as 127.0.0.1:50051";
    text.parse().map_err(|_| expected.to_owned())
}

/// # Errors
/// It is not the name of a level.
pub(super) fn level(text: &str) -> Result<LevelFilter, String> {
    let level = text.parse().ok().filter(|_| text.bytes().any(|byte| byte.is_ascii_alphabetic()));
    level.ok_or_else(|| "not one of off, error, warn, info, debug, trace".to_owned())
}

const A_YEAR: u64 = 365 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_place_is_refused_and_its_neighbour_is_not() {
        for (text, is_value) in [
            ("1", true),
            ("31536000", true),
            ("31536001", false),
            ("0", false),
            ("", false),
            (" 1", false),
            ("-1", false),
            ("1.5", false),
            ("ü", false),
            ("18446744073709551616", false),
        ] {
            assert_eq!(seconds(text).is_ok(), is_value, "{text:?}");
        }
        assert!(seconds_or_none("0").is_ok() && seconds_or_none("-1").is_err());
        for (text, is_value) in
            [("1", true), ("4294967295", true), ("4294967296", false), ("0", false), ("", false)]
        {
            assert_eq!(count::<usize>(text).is_ok(), is_value, "{text:?}");
        }
    }

    #[test]
    fn a_name_out_of_place_is_refused_and_its_neighbour_is_not() {
        for (text, is_name) in [
            ("gemini-2.5-flash", true),
            ("models/gemini-2.5-flash", true),
            ("tunedModels/mine-1", true),
            ("", false),
            (" ", false),
            ("models/", false),
            ("a/b", false),
            ("models/../x", false),
            ("a b", false),
            ("ü", false),
        ] {
            assert_eq!(model(text).is_ok(), is_name, "{text:?}");
        }
        for (text, is_name) in [
            ("files/abc-123", true),
            ("abc", true),
            ("", false),
            ("files/", false),
            ("../x", false),
            ("files/ü", false),
            ("https://a.test/files/x", false),
        ] {
            assert_eq!(resource(text).is_ok(), is_name, "{text:?}");
        }
    }

    #[test]
    fn a_type_a_host_or_a_level_out_of_place_is_refused_and_its_neighbour_is_not() {
        for (text, is_type) in [
            ("video/mp4", true),
            ("text/plain; charset=utf-8", true),
            ("", false),
            ("video", false),
            ("video/", false),
            ("a/b\n", false),
            ("ü/b", false),
        ] {
            assert_eq!(mime_type(text).is_ok(), is_type, "{text:?}");
        }
        for (text, is_name) in [
            ("bridge.corp", true),
            ("bridge.corp:8443", true),
            ("[::1]:8443", true),
            ("10.0.0.1", true),
            ("", false),
            (" ", false),
            ("a b", false),
            ("*", false),
            ("http://x", false),
            ("x:99999", false),
            ("x:", false),
            ("u@x", false),
            ("ü", false),
        ] {
            assert_eq!(host(text).is_ok(), is_name, "{text:?}");
        }
        for (text, is_level) in [
            ("info", true),
            ("INFO", true),
            ("off", true),
            ("", false),
            ("3", false),
            ("loud", false),
        ] {
            assert_eq!(level(text).is_ok(), is_level, "{text:?}");
        }
    }
}
