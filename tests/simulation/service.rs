//! Service: what Gemini makes of each call, and its own account of that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use genai_bridge::emulator::{Emulator, Reply};
use genai_bridge::v1beta::bidi_generate_content_client_message::MessageType;
use genai_bridge::v1beta::bidi_generate_content_server_message::MessageType as Said;
use genai_bridge::v1beta::candidate::FinishReason;
use genai_bridge::v1beta::part::Data;
use genai_bridge::v1beta::{
    BidiGenerateContentClientMessage, BidiGenerateContentServerContent,
    BidiGenerateContentServerMessage, BidiGenerateContentSetup, Candidate, Content,
    CountTokensRequest, CountTokensResponse, GenerateContentRequest, GenerateContentResponse, Part,
};
use genai_bridge::{Credentials, Token, rpc};
use http::HeaderMap;
use prost::Message as _;
use prost_types::Any;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::log::Log;
use crate::run::{KEY, MARK, MARK_AT_END};
use crate::world::{Answer, Call, Service, Shape};

/// What the service did, by the number of the call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account(Arc<Mutex<HashMap<usize, Work>>>);

#[derive(Debug, Clone, Default)]
pub(crate) struct Work {
    /// How often it took the call up.
    pub(crate) taken: u32,
    /// How often of these it answered at once that it may be asked again.
    pub(crate) refused: u32,
    /// When it took it up, each time.
    pub(crate) times: Vec<Instant>,
}

impl Account {
    pub(crate) fn of(&self, number: usize) -> Work {
        self.0.lock().expect("no panic").get(&number).cloned().unwrap_or_default()
    }

    fn take(&self, number: usize, refuses: u32) -> bool {
        let mut works = self.0.lock().expect("no panic");
        let work = works.entry(number).or_default();
        work.taken += 1;
        work.times.push(Instant::now());
        let is_refused = work.taken <= refuses;
        work.refused += u32::from(is_refused);
        is_refused
    }
}

/// Who may call: whoever has the key, or a token that is young enough.
#[derive(Debug, Clone)]
pub(crate) struct Logins {
    plan: Service,
    tokens: Arc<Mutex<Tokens>>,
    log: Log,
}

#[derive(Debug, Default)]
struct Tokens {
    /// When each was given out.
    given: Vec<Instant>,
    /// So many of them, the oldest, are not taken any more.
    revoked: usize,
    refusals: u64,
    /// Refused without a login of any kind.
    strangers: u64,
}

/// What came of all that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoginAccount {
    /// Tokens that were given out.
    pub(crate) given: u64,
    /// Requests whose login was refused.
    pub(crate) refusals: u64,
    /// Those among them that brought none.
    pub(crate) strangers: u64,
}

impl Logins {
    pub(crate) fn new(plan: Service, log: Log) -> Self {
        Self { plan, tokens: Arc::default(), log }
    }

    pub(crate) fn credentials(&self) -> Credentials {
        let Some(life) = self.plan.token_life else { return Credentials::api_key(KEY) };
        let logins = self.clone();
        Credentials::bearer(move || {
            let logins = logins.clone();
            async move {
                sleep(logins.plan.token_delay).await;
                let mut tokens = logins.tokens();
                let token = Token::new(format!("{KEY}-{}", tokens.given.len()));
                tokens.given.push(Instant::now());
                let token = if logins.plan.tells_life { token.expires_in(life) } else { token };
                Ok::<_, std::io::Error>(token)
            }
        })
    }

    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<(), Status> {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let is_good = match self.plan.token_life {
            None => header("x-goog-api-key") == Some(KEY),
            Some(life) => header("authorization").is_some_and(|token| self.is_good(token, life)),
        };
        if is_good {
            return Ok(());
        }
        self.log.note(format_args!("service refuses the login"));
        let name = if self.plan.token_life.is_some() { "authorization" } else { "x-goog-api-key" };
        let is_stranger = !header(name).is_some_and(|login| login.contains(KEY));
        let mut tokens = self.tokens();
        tokens.refusals += 1;
        tokens.strangers += u64::from(is_stranger);
        drop(tokens);
        Err(Status::unauthenticated("who are you?"))
    }

    fn is_good(&self, token: &str, life: Duration) -> bool {
        let number = token.strip_prefix("Bearer ").and_then(|token| token.strip_prefix(KEY));
        let number = number.and_then(|number| number.strip_prefix('-')?.parse::<usize>().ok());
        let tokens = self.tokens();
        number.is_some_and(|number| {
            let given = tokens.given.get(number).filter(|_| number >= tokens.revoked);
            given.is_some_and(|given| given.elapsed() < life)
        })
    }

    pub(crate) fn revoke(&self) {
        let mut tokens = self.tokens();
        tokens.revoked = tokens.given.len();
    }

    pub(crate) fn account(&self) -> LoginAccount {
        let tokens = self.tokens();
        let given = tokens.given.len() as u64;
        LoginAccount { given, refusals: tokens.refusals, strangers: tokens.strangers }
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().expect("no panic")
    }
}

/// Has the hosts answer these calls as planned.
pub(crate) fn begin_service(hosts: &[Emulator], calls: &[Call], log: &Log) -> Account {
    let account = Account::default();
    let plans: HashMap<_, _> = calls.iter().map(|call| (call.number, *call)).collect();
    for host in hosts {
        let (plans, told, log) = (plans.clone(), account.clone(), log.clone());
        host.answer_with(move |method, message| {
            let number = number_in(method, message)?;
            let call = plans.get(&number)?;
            let is_refused = told.take(number, call.answer.refused);
            log.note(format_args!("service takes {number}, refused: {is_refused}"));
            Some(if is_refused {
                Reply::error(refusal(call.answer.asks)).trailer(MARK_AT_END, number.to_string())
            } else {
                reply(call)
            })
        });
    }
    account
}

fn reply(call: &Call) -> Reply {
    let Answer { thought, messages, pause, error, is_endless, .. } = call.answer;
    let says_end = error.is_none() && !is_endless;
    let last = messages - 1;
    let reply = match call.shape {
        Shape::Free => {
            let total_tokens = i32::try_from(call.number).expect("small");
            Reply::message(&CountTokensResponse { total_tokens, ..Default::default() })
        }
        Shape::Bidi => Reply::messages((0..messages).map(|index| said(text(call, index)))),
        Shape::Unary | Shape::Stream => Reply::messages(
            (0..messages).map(|index| written(text(call, index), index == last && says_end)),
        ),
    };
    let mark = call.number.to_string();
    let reply = reply.metadata(MARK, &mark).trailer(MARK_AT_END, &mark);
    let reply = reply.thinking(thought).pause(pause);
    match error {
        Some(code) => reply.then_error(Status::new(code, WORD)),
        None => reply,
    }
}

/// A moment, which may be told.
fn refusal(asks: Option<Duration>) -> Status {
    let Some(delay) = asks.and_then(|asks| asks.try_into().ok()) else {
        return Status::unavailable(REFUSAL);
    };
    let info = rpc::RetryInfo { retry_delay: Some(delay) };
    let type_url = "type.googleapis.com/google.rpc.RetryInfo".to_owned();
    let details = vec![Any { type_url, value: info.encode_to_vec() }];
    let code = Code::Unavailable;
    let packed = rpc::Status { code: code.into(), message: REFUSAL.to_owned(), details };
    Status::with_details(code, REFUSAL, packed.encode_to_vec().into())
}

/// What it says with the error that is planned for a call.
pub(crate) const WORD: &str = "the service's own word";
/// What it says to a call that it does not take up yet.
pub(crate) const REFUSAL: &str = "a moment, please";

fn text(call: &Call, index: usize) -> String {
    format!("{}/{index}/{}", call.number, "x".repeat(call.answer.size))
}

fn written(text: String, is_last: bool) -> GenerateContentResponse {
    let reason = if is_last { FinishReason::Stop } else { FinishReason::Unspecified };
    let candidate = Candidate {
        content: Some(content(text)),
        finish_reason: reason.into(),
        ..Candidate::default()
    };
    GenerateContentResponse { candidates: vec![candidate], ..Default::default() }
}

fn said(text: String) -> BidiGenerateContentServerMessage {
    let content =
        BidiGenerateContentServerContent { model_turn: Some(content(text)), ..Default::default() };
    BidiGenerateContentServerMessage {
        message_type: Some(Said::ServerContent(content)),
        ..Default::default()
    }
}

pub(crate) fn content(text: String) -> Content {
    Content {
        parts: vec![Part { data: Some(Data::Text(text)), ..Part::default() }],
        role: "user".into(),
        ..Default::default()
    }
}

pub(crate) fn text_of(content: Option<&Content>) -> &str {
    let parts = content.map_or(&[][..], |content| &content.parts);
    match parts.first().and_then(|part| part.data.as_ref()) {
        Some(Data::Text(text)) => text,
        _ => "",
    }
}

/// What call this is: the number at the beginning of its text.
pub(crate) fn number_in(method: &str, message: &Bytes) -> Option<usize> {
    let text = match method.rsplit_once('/')?.1 {
        "CountTokens" => {
            let request = CountTokensRequest::decode(message.clone()).ok()?;
            text_of(request.contents.first()).to_owned()
        }
        "GenerateContent" | "StreamGenerateContent" => {
            let request = GenerateContentRequest::decode(message.clone()).ok()?;
            text_of(request.contents.first()).to_owned()
        }
        "BidiGenerateContent" => {
            let request = BidiGenerateContentClientMessage::decode(message.clone()).ok()?;
            match request.message_type? {
                MessageType::Setup(BidiGenerateContentSetup { model, .. }) => model,
                _ => return None,
            }
        }
        _ => return None,
    };
    text.split('/').next()?.parse().ok()
}

/// Whether the bridge's policy, if it allows attempts at all, asks again after this.
pub(crate) fn invites_another(code: Code) -> bool {
    code == Code::Unavailable
}
