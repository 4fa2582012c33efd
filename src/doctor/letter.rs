//! Letter: what to send to those who run the network, ready to paste.

use super::check::{Check, Outcome, Step};
use super::report::{Report, Target};
use crate::symptom::{Station, Symptom};

impl Report {
    /// What to send to those who run the network; `None` if nothing is wrong with it.
    pub fn for_network_team(&self) -> Option<String> {
        let rest_works = self.check(Step::Rest).is_some_and(|check| check.is(Outcome::Ok));
        let of_network = |check: &&Check| check.symptom().is_some() || check.step() == Step::Stream;
        self.cause().filter(of_network).map(|failure| write(self.target(), failure, rest_works))
    }
}

/// A letter on the station that fails.
fn write(target: &Target, failure: &Check, rest_works: bool) -> String {
    // What comes behind these stations may work.
    let is_whole = !rest_works && failure.step() <= Step::Grpc;
    let how_many = if is_whole { "None of its calls gets" } else { "Not all of its calls get" };
    let mut lines = vec![format!(
        "A program on this machine uses the Gemini API. {how_many} through to {}.",
        target.address
    )];
    let mut fact = |name: &str, value: &str| lines.push(format!("- {name}: {value}"));
    fact("destination", &format!("{}, TCP, TLS, HTTP/2 (gRPC) or HTTP/1.1 (REST)", target.address));
    fact("proxy", target.proxy.as_deref().unwrap_or("none"));
    let fails_at = match failure.step() {
        Step::Proxy if is_tls(failure) => "the TLS handshake with the proxy",
        step => station_of(step),
    };
    fact("fails at", fails_at);
    fact("observed", failure.evidence());
    for (name, value) in failure.symptom().map(who_answered).unwrap_or_default() {
        fact(name, &value);
    }
    fact("asked for", wish(failure, rest_works));
    fact("measured with", concat!("genai-bridge doctor ", env!("CARGO_PKG_VERSION")));
    lines.join("\n")
}

/// What tells the network team which of its boxes it was.
fn who_answered(symptom: &Symptom) -> Vec<(&'static str, String)> {
    let evidence = symptom.evidence();
    let header = |name| evidence.header(name).map(|value| (name, value.to_owned()));
    let headers =
        ["server", "via", "x-squid-error", "proxy-authenticate", "proxy-status", "location"];
    let issuer = evidence.issuer().map(|issuer| ("certificate issued by", issuer.to_owned()));
    let title = title_of(evidence.first_bytes()).map(|title| ("title of its page", title));
    // Where the standard's words are not used, they tell something.
    let usual = evidence.status().and_then(|status| status.canonical_reason());
    let own = evidence.reason().filter(|own| !own.is_empty() && Some(*own) != usual);
    let own = own.map(|own| ("in its words", own.to_owned()));
    headers.into_iter().filter_map(header).chain(own).chain(issuer).chain(title).collect()
}

/// The title only: the rest of a page may repeat what was sent.
fn title_of(page: &[u8]) -> Option<String> {
    let page = String::from_utf8_lossy(page);
    let (_, rest) = page.split_once("<title>")?;
    let (title, _) = rest.split_once("</title>")?;
    Some(title.chars().filter(|c| !c.is_control()).take(100).collect())
}

fn station_of(step: Step) -> &'static str {
    match step {
        Step::Settings => "the settings",
        Step::Dns => "the look-up of a name",
        Step::Tcp => "the TCP connection",
        Step::Proxy => "CONNECT at the proxy",
        Step::Login => "the login at the proxy",
        Step::Tls => "the TLS handshake",
        Step::Http2 => "HTTP/2 (ALPN, SETTINGS, PING)",
        Step::Grpc => "a gRPC call on an open HTTP/2 connection",
        Step::Rest => "an HTTPS request",
        Step::Key => "the key",
        Step::Model => "the model",
        Step::Size => "a request of 128 KiB",
        Step::Stream => "a streamed answer",
    }
}

fn wish(failure: &Check, rest_works: bool) -> &'static str {
    let trouble = failure.symptom().and_then(|symptom| symptom.evidence().tls());
    if let Some(trouble) = trouble {
        return trouble.wish();
    }
    match failure.step() {
        Step::Dns => "a name server that knows the name, or the address of a proxy",
        Step::Tcp => "TCP to the destination (or to the proxy) on this port",
        Step::Proxy if is_tls(failure) => {
            "the scheme (http or https) and address of the proxy, and the root of its certificate if it has one"
        }
        Step::Proxy => "CONNECT to the destination for this machine or user",
        Step::Login => {
            "a login that this program can give: Kerberos (Negotiate), Digest or Basic, for this machine or user"
        }
        Step::Tls if failure.symptom().is_some_and(is_about_trust) => {
            "the root certificate of the inspecting proxy, or no TLS inspection for the destination"
        }
        Step::Tls if !rest_works => "TLS to the destination, without inspection",
        Step::Tls | Step::Http2 => {
            "HTTP/2 (ALPN \"h2\") to the destination, or no TLS inspection for it"
        }
        Step::Grpc => {
            "POST with content type application/grpc to the destination, HTTP/2 trailers included, or no TLS inspection for it"
        }
        Step::Size => "a larger limit for requests to the destination, at least 20 MiB",
        Step::Stream => "no buffering of answers of type text/event-stream and application/grpc",
        Step::Settings | Step::Rest | Step::Key | Step::Model => "HTTPS to the destination",
    }
}

fn is_tls(failure: &Check) -> bool {
    failure.symptom().is_some_and(|symptom| symptom.station() == Station::Tls)
}

fn is_about_trust(symptom: &Symptom) -> bool {
    symptom.station() == Station::Tls && symptom.evidence().issuer().is_some()
}
