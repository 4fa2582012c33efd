//! Examination: the stations from the settings to a free call on each transport.

use std::error::Error as _;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::{Instant, timeout};
use tonic::Status;

use super::Doctor;
use super::check::{Check, Step};
use super::checks::Checks;
use super::line::Line;
use super::report::{Report, Target};
use super::service::{Answers, check_service};
use crate::bridge::builder::BridgeBuilder;
use crate::bridge::builder::build::Built;
use crate::bridge::options::ActiveTransport;
use crate::carry::ForeignCarriers;
use crate::error::Error;
use crate::network::{Alpn, Network, Origin, ProxyHop, store_faults};
use crate::symptom::{Station, Symptom, SymptomKind, TlsTrouble};

impl Doctor {
    /// Makes the examination. What fails is part of the report.
    pub async fn examine(self) -> Report {
        Box::pin(examine(self)).await
    }
}

async fn examine(doctor: Doctor) -> Report {
    let Doctor { builder, model, time_limit, spends_tokens, watcher } = doctor;
    let deadline = Instant::now() + time_limit;
    let mut checks = Checks::new(watcher);
    let (check, mut target, built) = read_settings(builder);
    checks.push(check);
    if let Some(built) = built {
        target.address = built.origin.address().to_string();
        let foreign = built.bridge.core().foreign_carriers();
        let reach = if foreign == ForeignCarriers::BOTH {
            let skipped = |step| Check::skipped(step, "the program's own carriers dial");
            let stations = [Step::Dns, Step::Tcp, Step::Proxy, Step::Login, Step::Tls];
            checks.extend(stations.map(skipped));
            Reach::Closed
        } else {
            let alpn = if foreign.grpc { Alpn::Http1 } else { Alpn::Http2 };
            let way = Way { network: &built.network, origin: &built.origin, alpn };
            way.open(&mut checks).await
        };
        let line = Line { built: &built, deadline };
        let answers = Box::pin(call_over_both(&line, reach, &mut checks)).await;
        check_service(&line, answers, &model, spends_tokens, &mut checks).await;
    }
    Report::new(target, checks.complete())
}

/// What the settings say, and what could be built from them.
fn read_settings(mut builder: BridgeBuilder) -> (Check, Target, Option<Built>) {
    builder.go_on_without_key();
    builder.limit_connect_timeout(CONNECT_LIMIT);
    let mut target = Target { endpoint: builder.endpoint_text().to_owned(), ..Target::default() };
    let mut told = builder.describe();
    let store_faults = store_faults();
    match builder.build_parts() {
        Ok(built) => {
            target.proxy = built.network.proxy_for(&built.origin).as_ref().map(ProxyHop::describe);
            told.insert(0, target.proxy.clone().unwrap_or_else(|| "no proxy".to_owned()));
            told.extend(built.network.proxy_notes());
            told.extend(store_faults.iter().cloned());
            let told = told.join("; ");
            let check = match store_faults.as_slice() {
                [] => Check::ok(Step::Settings, told),
                _ => Check::failed(Step::Settings, told).advise(TlsTrouble::BadStore.advice()),
            };
            (check, target, Some(built))
        }
        Err(error) => {
            let cause = error.source().map(ToString::to_string);
            (Check::broken(Step::Settings, &error).adding(cause), target, None)
        }
    }
}

/// How far the way is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Closed,
    /// TLS stands, but only for HTTP/1.1.
    Http1,
    Http2,
}

/// The way from here to the service, up to the end of the TLS handshake.
struct Way<'a> {
    network: &'a Network,
    origin: &'a Origin,
    /// What is to be spoken over it.
    alpn: Alpn,
}

impl Way<'_> {
    async fn open(&self, checks: &mut Checks) -> Reach {
        let began = Instant::now();
        let name = self.look_up();
        let (name, connected) = tokio::join!(name, self.network.connect(self.origin, self.alpn));
        match connected {
            Ok(connection) => {
                let issuer = connection.issuer.as_deref();
                self.passed(checks, &name, Step::Tls).await;
                checks.push(self.tls(issuer).took(began.elapsed()));
                Reach::Http2
            }
            Err(error) => self.closed(checks, &name, &error).await,
        }
    }

    async fn closed(&self, checks: &mut Checks, name: &str, error: &Error) -> Reach {
        let step = error.symptom().map_or(Step::Tls, |symptom| self.step_of(symptom));
        let issuer = error.symptom().and_then(|symptom| symptom.evidence().issuer());
        self.passed(checks, name, step).await;
        let mut failure = Check::broken(step, error);
        if step == Step::Login {
            failure = failure.adding(self.network.describe_login(self.origin).await);
        }
        let is_trust = error.symptom().is_some_and(|symptom| is_about_certificates(symptom.kind()));
        let reach = match step {
            Step::Http2 => {
                checks.push(self.tls(issuer));
                Reach::Http1
            }
            Step::Tls if !is_trust && self.opens_for_http1().await => Reach::Http1,
            _ => Reach::Closed,
        };
        let failure = match (step, reach) {
            (Step::Tls, Reach::Http1) => failure
                .advise("the same handshake without an offer of HTTP/2 succeeds, so REST may work"),
            _ => failure,
        };
        checks.push(failure);
        reach
    }

    /// Whether TLS stands when HTTP/2 is not offered.
    async fn opens_for_http1(&self) -> bool {
        self.network.connect(self.origin, Alpn::Http1).await.is_ok()
    }

    /// The stations before `end`, but for TLS.
    async fn passed(&self, checks: &mut Checks, name: &str, end: Step) {
        let proxy = self.network.proxy_for(self.origin);
        let peer = proxy.as_ref().map_or_else(|| self.peer(), ToString::to_string);
        let tunnel = match &proxy {
            None => Check::skipped(Step::Proxy, "there is no proxy"),
            Some(proxy) if end == Step::Login => {
                Check::ok(Step::Proxy, format!("{proxy} answers CONNECT"))
            }
            Some(proxy) => Check::ok(
                Step::Proxy,
                format!("{proxy} opens a tunnel to {}", self.origin.address()),
            ),
        };
        let login = match self.network.describe_login(self.origin).await {
            None => Check::skipped(Step::Login, "no proxy asks for one"),
            Some(told) => Check::ok(Step::Login, told),
        };
        let before = [
            Check::ok(Step::Dns, name),
            Check::ok(Step::Tcp, format!("{peer} accepts connections")),
            tunnel,
            login,
        ];
        checks.extend(before.into_iter().filter(|check| check.step() < end));
    }

    fn tls(&self, issuer: Option<&str>) -> Check {
        match issuer {
            Some(issuer) => Check::ok(Step::Tls, format!("certificate issued by {issuer}")),
            None if self.origin.is_https() => Check::ok(Step::Tls, "certificate accepted"),
            None => Check::skipped(Step::Tls, "the endpoint is plain http://"),
        }
    }

    fn peer(&self) -> String {
        format!("host {}", self.origin.address())
    }

    /// TLS with an `https://` proxy is part of reaching that proxy.
    fn step_of(&self, symptom: &Symptom) -> Step {
        let at_proxy = self
            .network
            .proxy_for(self.origin)
            .is_some_and(|proxy| symptom.hop() == proxy.to_string());
        match symptom.station() {
            Station::Dns => Step::Dns,
            Station::Tcp => Step::Tcp,
            Station::Proxy => match symptom.kind() {
                SymptomKind::ProxyAuthenticationRequired => Step::Login,
                _ => Step::Proxy,
            },
            Station::Tls if at_proxy => Step::Proxy,
            Station::Tls => Step::Tls,
            Station::Alpn | Station::Http2 => Step::Http2,
            Station::Request | Station::Answer | Station::Body | Station::Trailers => Step::Grpc,
        }
    }

    /// The addresses of the first peer; the connection looks them up for itself.
    async fn look_up(&self) -> String {
        let proxy = self.network.proxy_for(self.origin);
        let address = proxy.as_ref().map_or_else(|| self.origin.address(), ProxyHop::address);
        if let Some(path) = self.origin.socket() {
            return format!("socket {} needs no look-up", path.display());
        }
        if self.network.has_own_connector() {
            return format!("{address} is left to the program's own connector");
        }
        if address.ip().is_some() {
            return format!("{address} needs no look-up");
        }
        let found = timeout(CONNECT_LIMIT, lookup_host((address.host(), address.port()))).await;
        let Ok(Ok(found)) = found else { return format!("{} has no address", address.host()) };
        let found: Vec<String> = found.take(4).map(|found| found.ip().to_string()).collect();
        format!("{} is {}", address.host(), found.join(", "))
    }
}

async fn call_over_both(line: &Line<'_>, reach: Reach, checks: &mut Checks) -> Answers {
    let foreign = line.built.bridge.core().foreign_carriers();
    let grpc = async {
        if foreign.grpc {
            let skipped = Check::skipped(Step::Http2, "left to the program's own carrier");
            let call = line.free_call(ActiveTransport::Grpc).await;
            let (check, status) = judge_call(Step::Grpc, call);
            (vec![skipped, check], status)
        } else if reach == Reach::Http2 {
            check_grpc(line).await
        } else {
            (Vec::new(), None)
        }
    };
    let rest = async {
        if foreign.rest || reach != Reach::Closed {
            let (check, status) =
                judge_call(Step::Rest, line.free_call(ActiveTransport::Rest).await);
            (Some(check), status)
        } else {
            (None, None)
        }
    };
    let ((found, grpc), (check, rest)) = tokio::join!(grpc, rest);
    checks.extend(found.into_iter().chain(check));
    Answers { grpc, rest }
}

/// SETTINGS, PING, and the free call.
async fn check_grpc(line: &Line<'_>) -> (Vec<Check>, Option<Status>) {
    let http2 = match line.ping().await {
        Ok(took) => Check::ok(Step::Http2, "SETTINGS and the answer to a PING arrived").took(took),
        Err(error) => {
            let is_silent = error
                .symptom()
                .is_some_and(|symptom| symptom.kind() == SymptomKind::KeepAliveTimeout);
            let check = Check::broken(Step::Http2, &error);
            if !is_silent {
                return (vec![check], None);
            }
            // A peer that answers no PING might still answer calls.
            check
        }
    };
    let (call, status) = judge_call(Step::Grpc, line.free_call(ActiveTransport::Grpc).await);
    (vec![http2, call], status)
}

/// An error status of the service proves the way as well as an answer does.
fn judge_call(step: Step, outcome: Result<(Status, Duration), Error>) -> (Check, Option<Status>) {
    match outcome {
        Ok((status, took)) => {
            let evidence = match status.code() {
                tonic::Code::Ok => "a free call (ListModels) was answered".to_owned(),
                code => format!("the service answers a free call (ListModels): {code:?}"),
            };
            (Check::ok(step, evidence).took(took), Some(status))
        }
        Err(error) => (Check::broken(step, &error), None),
    }
}

fn is_about_certificates(kind: SymptomKind) -> bool {
    matches!(
        kind,
        SymptomKind::CertificateUnknownIssuer
            | SymptomKind::CertificateExpired
            | SymptomKind::CertificateWrongName
            | SymptomKind::CertificateInvalid
    )
}

/// Two dials, SETTINGS, a PING and three calls must fit into the 14 s.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);
