//! Preset: what is known of the service that is called: much of the Gemini API, nothing of others.

use http::uri::PathAndQuery;

use crate::call::frame::Frame;
use crate::carry::DefaultDeadline;
use crate::dialect::Dialect;
use crate::error::{Error, ErrorKind};
use crate::gemini;
use crate::probe::ProbeRequest;
use crate::retry::RetryPolicies;
use crate::schema::Schema;

/// What is known of the service that is called: much of the Gemini API, nothing of others.
pub(super) struct Preset {
    pub(super) schema: Schema,
    pub(super) probe: Option<ProbeRequest>,
    pub(super) dialect: Dialect,
    pub(super) retries: RetryPolicies,
    pub(super) deadline: DefaultDeadline,
}

impl Preset {
    pub(super) fn new(
        schema: Option<Schema>,
        probe: Option<(String, Vec<u8>)>,
    ) -> Result<Self, Error> {
        match schema {
            Some(schema) => Ok(Self {
                probe: probe.map(|probe| probe_request(&schema, &probe)).transpose()?,
                dialect: Dialect::Plain,
                retries: RetryPolicies::OfSchema,
                deadline: DefaultDeadline::OfSchema,
                schema,
            }),
            None => Self::gemini(&probe.unwrap_or_else(gemini::probe_call)),
        }
    }

    /// As the program wants it; `dialect` where the service has none of its own.
    pub(super) fn adapted(self, has_probe: bool, dialect: Dialect) -> Self {
        let probe = self.probe.filter(|_| has_probe);
        let dialect = if self.dialect == Dialect::Plain { dialect } else { self.dialect };
        Self { probe, dialect, ..self }
    }

    fn gemini(probe: &(String, Vec<u8>)) -> Result<Self, Error> {
        let schema = gemini::schema()?;
        Ok(Self {
            probe: Some(probe_request(&schema, probe)?),
            dialect: Dialect::Google,
            retries: RetryPolicies::ByMethod(gemini::retry_policy),
            deadline: DefaultDeadline::ByMethod(gemini::deadline),
            schema,
        })
    }
}

fn probe_request(
    schema: &Schema,
    (path, message): &(String, Vec<u8>),
) -> Result<ProbeRequest, Error> {
    let refuse = |why: &str| Error::new(ErrorKind::Configuration, format!("probe `{path}` {why}"));
    let method = schema.method(path).cloned();
    if method.as_ref().is_some_and(|method| method.client_streaming || method.server_streaming) {
        return Err(refuse("is not a unary method"));
    }
    Ok(ProbeRequest {
        path: PathAndQuery::try_from(path.as_str()).map_err(|_| refuse("is not a path"))?,
        method,
        message: Frame::wrap(message).ok_or_else(|| refuse("has a message over 4 GiB"))?,
    })
}
