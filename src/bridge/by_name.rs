//! By name: settings that serde reads and writes as the words that `FromStr` and `Display` know.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bridge::options::{ActiveTransport, ParameterCheck, ResendPolicy, Transport};
use crate::bridge::verdict::Verdict;

impl Serialize for Transport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Transport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "`auto`, `grpc` or `rest`")
    }
}

impl Serialize for ActiveTransport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ActiveTransport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "`grpc` or `rest`")
    }
}

impl Serialize for ResendPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ResendPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "`never`, `when-unprocessed` or `when-unanswered`")
    }
}

impl Serialize for ParameterCheck {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ParameterCheck {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "`off`, `warn` or `reject`")
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Verdict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, "the text of a verdict")
    }
}

fn read<'de, D, T>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_str(Named { expected, what: PhantomData })
}

struct Named<T> {
    expected: &'static str,
    what: PhantomData<T>,
}

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Named<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, from_value, json, to_value};

    use super::*;

    fn is_read_as_it_is_written<T>(values: &[(T, &str)])
    where
        T: Serialize + DeserializeOwned + FromStr + fmt::Display + fmt::Debug + PartialEq,
    {
        for (value, name) in values {
            assert_eq!(to_value(value).expect("a text"), json!(name));
            assert_eq!(value.to_string(), *name);
            assert_eq!(from_value::<T>(json!(name)).expect("a name"), *value);
            assert_eq!(name.parse().ok().as_ref(), Some(value));
        }
        for other in [json!("other"), json!(""), json!(1), Value::Null] {
            assert!(from_value::<T>(other).is_err());
        }
    }

    #[test]
    fn settings_go_by_their_names() {
        is_read_as_it_is_written(&[
            (Transport::Auto, "auto"),
            (Transport::Grpc, "grpc"),
            (Transport::Rest, "rest"),
        ]);
        is_read_as_it_is_written(&[
            (ActiveTransport::Grpc, "grpc"),
            (ActiveTransport::Rest, "rest"),
        ]);
        is_read_as_it_is_written(&[
            (ResendPolicy::Never, "never"),
            (ResendPolicy::WhenUnprocessed, "when-unprocessed"),
            (ResendPolicy::WhenUnanswered, "when-unanswered"),
        ]);
        is_read_as_it_is_written(&[
            (ParameterCheck::Off, "off"),
            (ParameterCheck::Warn, "warn"),
            (ParameterCheck::Reject, "reject"),
        ]);
        let text = "genai-bridge verdict 1\nnetwork a\nmethod /p.S/M 1 1\n";
        is_read_as_it_is_written(&[(text.parse::<Verdict>().expect("a verdict"), text)]);
    }

    #[test]
    fn another_name_is_told() {
        let error = from_value::<ResendPolicy>(json!("always")).expect_err("no policy");
        assert_eq!(error.to_string(), r#"no resend policy is called "always""#);
    }
}
