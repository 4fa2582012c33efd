//! Describe: what a person is told of the settings, and what an examination changes of them.

use std::time::Duration;

use super::BridgeBuilder;
use crate::credentials::Credentials;

impl BridgeBuilder {
    /// Goes on without credentials where the environment held none: the rest can be examined.
    pub(crate) fn go_on_without_key(&mut self) {
        if self.credentials.is_err() {
            self.credentials = Ok(Credentials::none());
        }
    }

    pub(crate) fn limit_connect_timeout(&mut self, limit: Duration) {
        self.connect_timeout = Some(self.connect_timeout.map_or(limit, |own| own.min(limit)));
    }

    pub(crate) fn endpoint_text(&self) -> &str {
        &self.endpoint
    }

    /// The settings that decide about the way, for a person; no secret among them.
    pub(crate) fn describe(&self) -> Vec<String> {
        let credentials = match &self.credentials {
            Ok(credentials) => credentials.describe(),
            Err(_) => "no key",
        };
        let store = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find_map(|name| {
            // Windows' and macOS' verifiers do not read them.
            let is_read = !cfg!(any(windows, target_vendor = "apple"));
            let place = std::env::var_os(name).filter(|place| is_read && !place.is_empty())?;
            Some(format!("roots of {name}={}", place.to_string_lossy()))
        });
        let store = store.unwrap_or_else(|| "roots of the operating system".to_owned());
        let prepared = self.tls.as_ref().map(|_| "the program's own TLS configuration".to_owned());
        let mut told = vec![prepared.unwrap_or(store)];
        match self.roots.len() {
            0 => {}
            1 => told.push("added roots".to_owned()),
            count => told.push(format!("added roots from {count} sources")),
        }
        if self.connector.is_some() {
            told.push("connections by the program's own connector".to_owned());
        }
        for (name, carrier) in [("gRPC", &self.grpc_carrier), ("REST", &self.rest_carrier)] {
            if carrier.is_some() {
                told.push(format!("{name} over the program's own carrier"));
            }
        }
        told.push(credentials.to_owned());
        told
    }
}
