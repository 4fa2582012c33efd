//! Row: one mode of one proxy, and what becomes of a call over each transport.

use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{Content, GenerateContentRequest, Part, part::Data};
use genai_bridge::{ActiveTransport, Bridge, BridgeBuilder, Error, Proxy, SymptomKind, Transport};
use tokio::time::{Duration, Instant, timeout};
use tonic::{Code, Request, Status};

use crate::bed::Bed;
use crate::examination::examine;
use crate::paths::{ask_in_vain, ask_paths};

/// One mode: how it is reached, whom the client trusts, how calls end.
pub(crate) struct Row {
    name: &'static str,
    way: Way,
    trusted: Trusted,
    kerberos: bool,
    ends: [End; 3],
    limit: Duration,
}

enum Way {
    /// A forward proxy at this URL, `@` standing for the address of the port.
    Through(&'static str, &'static str),
    /// The proxy itself is the endpoint.
    At(&'static str),
}

#[derive(Clone, Copy)]
pub(crate) enum Trusted {
    Origin,
    Corp,
    Both,
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum End {
    Answer(ActiveTransport),
    Broken(SymptomKind),
    /// Without a symptom: the deadline passed, or the status passes for the service's own.
    Said(Code),
}

pub(crate) const GRPC: End = End::Answer(ActiveTransport::Grpc);
pub(crate) const REST: End = End::Answer(ActiveTransport::Rest);

impl Row {
    /// TLS stays closed to the proxy at `url`, in which `@` stands for the address of `port`.
    pub(crate) fn through(name: &'static str, url: &'static str, port: &'static str) -> Self {
        Self {
            name,
            way: Way::Through(url, port),
            trusted: Trusted::Origin,
            kerberos: false,
            ends: [GRPC, REST, GRPC],
            limit: Duration::from_secs(10),
        }
    }

    /// TLS ends at the proxy, which is the endpoint.
    pub(crate) fn at(name: &'static str, port: &'static str) -> Self {
        Self { way: Way::At(port), trusted: Trusted::Corp, ..Self::through(name, "", port) }
    }

    pub(crate) fn trusting(mut self, trusted: Trusted) -> Self {
        self.trusted = trusted;
        self
    }

    /// The user's ticket may be shown to the proxy.
    pub(crate) fn with_kerberos(mut self) -> Self {
        self.kerberos = true;
        self
    }

    /// How a call ends over `Grpc`, `Rest` and `Auto`.
    pub(crate) fn ends(mut self, grpc: End, rest: End, auto: End) -> Self {
        self.ends = [grpc, rest, auto];
        self
    }

    /// Every call ends so.
    pub(crate) fn closed(self, kind: SymptomKind) -> Self {
        let end = End::Broken(kind);
        self.ends(end, end, end)
    }

    /// Every call must end in this time.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Makes a call over each transport; prints, and collects what is not as expected.
    pub(crate) async fn run(&self, proxy: &str, bed: &mut Bed, faults: &mut Vec<String>) {
        for (transport, expected) in
            [Transport::Grpc, Transport::Rest, Transport::Auto].into_iter().zip(self.ends)
        {
            let builder = self.builder(bed).transport(transport);
            let before = bed.calls(GENERATE);
            let began = Instant::now();
            let ended = timeout(Duration::from_secs(60), Box::pin(ask(builder))).await;
            let took = began.elapsed();
            let calls = bed.calls(GENERATE) - before;
            let end = match &ended {
                Err(_) => None,
                Ok(Ok(carried_by)) => Some(End::Answer(*carried_by)),
                Ok(Err(status)) => {
                    Some(kind_of(status).map_or(End::Said(status.code()), End::Broken))
                }
            };
            let text = match &ended {
                Ok(Err(status)) => status.message(),
                _ => "",
            };
            println!(
                "| {proxy} | {} | {transport:?} | {end:?} | {} ms | {calls} | {text}",
                self.name,
                took.as_millis()
            );
            let row = format!("{proxy}, {}, {transport:?}", self.name);
            if end != Some(expected) {
                faults.push(format!("{row}: {end:?}, not {expected:?}: {ended:?}"));
            }
            if took > self.limit {
                faults.push(format!("{row}: took {took:?}"));
            }
            if calls > 1 {
                faults.push(format!("{row}: the service was asked {calls} times"));
            }
            if let Ok(Err(status)) = &ended {
                faults.extend(faults_of_error(status).into_iter().map(|it| format!("{row}: {it}")));
            }
        }
        let [grpc, rest, _] = self.ends;
        let row = format!("{proxy}, {}", self.name);
        faults.extend(examine(&row, self.builder(bed), [grpc, rest]).await);
    }

    /// Asks for other paths of the REST API, on bridges of their own.
    pub(crate) async fn run_paths(&self, proxy: &str, bed: &mut Bed) -> Vec<String> {
        let row = format!("{proxy}, {}", self.name);
        match self.ends {
            [_, End::Answer(_), _] => {
                let all = [Transport::Grpc, Transport::Rest, Transport::Auto];
                let builders = all.map(|transport| (transport, self.builder(bed)));
                ask_paths(&row, builders).await
            }
            _ => ask_in_vain(&row, self.builder(bed)).await,
        }
    }

    pub(crate) fn builder(&self, bed: &mut Bed) -> BridgeBuilder {
        let builder = Bridge::builder().api_key(KEY);
        let builder = match self.way {
            Way::Through(url, port) => {
                let url = url.replace("HOST", &format!("127.0.0.1:{}", bed.port(port)));
                let url = url.replace("NAME", &format!("localhost:{}", bed.port(port)));
                let mut proxy = Proxy::url(&url).expect("a URL");
                if self.kerberos {
                    proxy = proxy.negotiate(["localhost"]);
                }
                builder.endpoint(bed.origin.endpoint()).proxy(proxy)
            }
            Way::At(port) => builder
                .endpoint(format!("https://localhost:{}", bed.port(port)))
                .proxy(Proxy::none()),
        };
        let (origin, corp) = (bed.origin.root_certificate().to_owned(), bed.corp.pem().to_owned());
        match self.trusted {
            Trusted::Origin => builder.add_root_certificates(origin),
            Trusted::Corp => builder.add_root_certificates(corp),
            Trusted::Both => builder.add_root_certificates(origin).add_root_certificates(corp),
        }
    }
}

/// Settles the transport, so that a busy machine does not decide it, and calls.
pub(crate) async fn ask(builder: BridgeBuilder) -> Result<ActiveTransport, Status> {
    let bridge = builder.build().expect("a bridge");
    // What keeps it from coming about, the call meets as well.
    let _ = bridge.connect().await;
    let part = Part { data: Some(Data::Text(PROMPT.repeat(100))), ..Part::default() };
    let mut request = Request::new(GenerateContentRequest {
        model: "models/gemini-2.5-flash".into(),
        contents: vec![Content { parts: vec![part], role: "user".into(), ..Default::default() }],
        ..GenerateContentRequest::default()
    });
    request.set_timeout(Duration::from_secs(8));
    let reply = GenerativeServiceClient::new(bridge).generate_content(request).await?;
    Ok(*reply.extensions().get().expect("a mark"))
}

fn kind_of(status: &Status) -> Option<SymptomKind> {
    Error::of(status).and_then(Error::symptom).map(genai_bridge::Symptom::kind)
}

/// What an error must not show, and what it must say.
pub(crate) fn faults_of_error(status: &Status) -> Vec<String> {
    let mut faults = Vec::new();
    let shown = format!("{status} {status:?} {:?}", Error::of(status));
    for secret in [KEY, PROMPT, "tr0mb0ne", "wrong-pass"] {
        if shown.contains(secret) {
            faults.push(format!("shows `{secret}`: {shown}"));
        }
    }
    let Some(error) = Error::of(status) else { return faults };
    let hop = error.symptom().map(genai_bridge::Symptom::hop);
    if hop.is_some_and(|hop| !error.to_string().contains(hop)) {
        faults.push(format!("names no hop: {shown}"));
    }
    if error.advice().is_none() {
        faults.push(format!("has no advice: {shown}"));
    }
    faults
}

const GENERATE: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";
pub(crate) const KEY: &str = "key-that-nobody-may-see";
pub(crate) const PROMPT: &str = "prompt-that-nobody-may-see ";
