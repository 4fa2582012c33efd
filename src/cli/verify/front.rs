//! Front: how the service is reached, and what its front end says to odd requests. All of it is
//! free.

use std::time::Duration;

use genai_bridge::v1beta::{GetModelRequest, ListModelsRequest, Model};
use genai_bridge::{Bridge, Error, ErrorKind, gemini};
use http::Method;
use http::uri::PathAndQuery;
use serde_json::{Value, json};
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::question::{
    Question, Seen, Setting, Verdict, count, generative, is_of_service, models, page, words,
};

pub(super) static QUESTIONS: [Question; 17] = [
    Question::free("grpc", "does gRPC carry a free call?", "it does", |at| {
        Box::pin(reach(&at.grpc))
    }),
    Question::free("rest", "does REST carry the same call?", "it does", |at| {
        Box::pin(reach(&at.rest))
    }),
    Question::free(
        "page-size",
        "does ListModels keep to a page of one?",
        "one model: the probe is small",
        |at| Box::pin(page_size(at)),
    ),
    Question::free(
        "page-token",
        "does the next page begin behind the first?",
        "another model: a token that repeats is an error",
        |at| Box::pin(page_token(at)),
    ),
    Question::free(
        "wrong-key",
        "is a wrong key refused over gRPC in the service's own words?",
        "with details: such a refusal proves gRPC",
        |at| Box::pin(wrong_key(at)),
    ),
    Question::free(
        "wrong-key-alike",
        "do gRPC and REST refuse a wrong key alike?",
        "the same code and details",
        |at| Box::pin(wrong_key_alike(at)),
    ),
    Question::free(
        "unknown-model",
        "do gRPC and REST refuse an unknown model alike?",
        "NOT_FOUND and the same details",
        |at| Box::pin(unknown_model(at)),
    ),
    Question::free(
        "unknown-field",
        "does REST refuse a field that it does not know?",
        "INVALID_ARGUMENT that names it",
        |at| Box::pin(unknown_field(at)),
    ),
    Question::free(
        "stream-refused",
        "is a refused stream an error before its first event?",
        "the service's own NOT_FOUND",
        |at| Box::pin(stream_refused(at)),
    ),
    Question::free(
        "unknown-method",
        "is an unknown gRPC method refused in gRPC's form?",
        "UNIMPLEMENTED, which proves nothing",
        |at| Box::pin(unknown_method(at)),
    ),
    Question::free(
        "unknown-path",
        "what does the front end say of an unknown path?",
        "404 and a page, which is not the API's error",
        |at| Box::pin(page_of(at, Method::GET, "/v1beta/no-such-thing")),
    ),
    Question::free(
        "wrong-verb",
        "what does it say of a verb that a path does not have?",
        "404 and a page, which is not the API's error",
        |at| Box::pin(page_of(at, Method::DELETE, "/v1beta/models")),
    ),
    Question::free(
        "enums-as-numbers",
        "does REST give enums as numbers where that is asked for?",
        "it takes $alt=json;enum-encoding=int",
        |at| Box::pin(enums_as_numbers(at)),
    ),
    Question::free("gzip-request", "does gRPC take a request in gzip?", "it does", |at| {
        Box::pin(gzip_request(at))
    }),
    Question::free(
        "gzip-answer",
        "does gRPC take a client that reads gzip?",
        "it does, with an answer in gzip or without",
        |at| Box::pin(gzip_answer(at)),
    ),
    Question::free(
        "deadline",
        "does gRPC go on after a call that its deadline ended?",
        "the call ends by it, and the next one is answered",
        |at| Box::pin(deadline(at)),
    ),
    Question::free(
        "server-timeout",
        "does REST take X-Server-Timeout?",
        "it does: each call over REST has it",
        |at| Box::pin(server_timeout(at)),
    ),
];

async fn reach(bridge: &Bridge) -> Seen {
    match models(bridge).list_models(page(1, "")).await {
        Ok(answer) => Seen::of(true, format!("{} model came", answer.get_ref().models.len())),
        Err(status) => Seen::failed(&status),
    }
}

async fn page_size(at: &Setting) -> Seen {
    match models(&at.rest).list_models(page(1, "")).await {
        Ok(answer) => {
            let models = answer.get_ref().models.len();
            Seen::of(models == 1, format!("{models} models came"))
        }
        Err(status) => Seen::failed(&status),
    }
}

async fn page_token(at: &Setting) -> Seen {
    let mut client = models(&at.rest);
    let asked = async {
        let first = client.list_models(page(1, "")).await?.into_inner();
        let token = first.next_page_token.clone();
        Ok::<_, Status>((first, client.list_models(page(1, &token)).await?.into_inner()))
    };
    match asked.await {
        Ok((first, second)) => {
            let name = |models: &[Model]| models.first().map(|model| model.name.clone());
            let (one, two) = (name(&first.models), name(&second.models));
            let is_next = one != two && first.next_page_token != second.next_page_token;
            let shown = |name: Option<String>| name.unwrap_or_else(|| "nothing".to_owned());
            Seen::of(is_next, format!("{}, then {}", shown(one), shown(two)))
        }
        Err(status) => Seen::failed(&status),
    }
}

async fn ask_with_wrong_key(bridge: &Bridge) -> Result<(), Status> {
    let mut request = Request::new(page(1, ""));
    request.metadata_mut().insert("x-goog-api-key", MetadataValue::from_static("no-key-of-anyone"));
    models(bridge).list_models(request).await.map(drop)
}

async fn wrong_key(at: &Setting) -> Seen {
    match ask_with_wrong_key(&at.grpc).await {
        Ok(()) => Seen::of(false, "it was answered"),
        Err(status) if !is_of_service(&status) => Seen::failed(&status),
        Err(status) => Seen::of(!status.details().is_empty(), words(&status)),
    }
}

async fn wrong_key_alike(at: &Setting) -> Seen {
    alike(ask_with_wrong_key(&at.grpc).await, ask_with_wrong_key(&at.rest).await)
}

async fn unknown_model(at: &Setting) -> Seen {
    let ask = async |bridge: &Bridge| {
        let request = GetModelRequest { name: NO_MODEL.to_owned(), ..Default::default() };
        models(bridge).get_model(request).await.map(drop)
    };
    let (grpc, rest) = (ask(&at.grpc).await, ask(&at.rest).await);
    let is_not_found = grpc.as_ref().is_err_and(|status| status.code() == Code::NotFound);
    let seen = alike(grpc, rest);
    if seen.verdict == Verdict::AsAssumed && !is_not_found {
        return Seen::of(false, seen.text);
    }
    seen
}

/// Whether both transports tell the same refusal.
fn alike(grpc: Result<(), Status>, rest: Result<(), Status>) -> Seen {
    let (grpc, rest) = match (grpc, rest) {
        (Err(grpc), Err(rest)) => (grpc, rest),
        (Ok(()), _) => return Seen::of(false, "gRPC answers it"),
        (_, Ok(())) => return Seen::of(false, "REST answers it"),
    };
    if let Some(broken) = [&grpc, &rest].into_iter().find(|status| !is_of_service(status)) {
        return Seen::failed(broken);
    }
    let details = |status: &Status| {
        let details = gemini::Details::of(status);
        (details.error_info().cloned(), details.bad_request().cloned(), details.others().len())
    };
    let is_alike = grpc.code() == rest.code() && details(&grpc) == details(&rest);
    let text = if is_alike {
        words(&grpc)
    } else {
        format!("gRPC: {}; REST: {}", words(&grpc), words(&rest))
    };
    Seen::of(is_alike, text)
}

async fn unknown_field(at: &Setting) -> Seen {
    let path = format!("/v1beta/{}:countTokens", at.model);
    let body = json!({"contents": [{"parts": [{"text": "?"}]}], "noSuchField": 1});
    match at.rest.json(Method::POST, path).value(&body).send().await {
        Ok(_) => Seen::of(false, "it was taken"),
        Err(status) if !is_of_service(&status) => Seen::failed(&status),
        Err(status) => {
            let names_it = status.message().contains("noSuchField")
                || gemini::advice(&status)
                    .is_some_and(|advice| advice.to_string().contains("noSuchField"));
            let is_refused = status.code() == Code::InvalidArgument && names_it;
            Seen::of(is_refused, words(&status))
        }
    }
}

async fn stream_refused(at: &Setting) -> Seen {
    let path = format!("/v1beta/{NO_MODEL}:streamGenerateContent");
    let body = json!({"contents": [{"parts": [{"text": "?"}]}]});
    let stream = at.rest.json(Method::POST, path).query("alt", "sse").value(&body).stream().await;
    match stream {
        Ok(_) => Seen::of(false, "a stream began"),
        Err(status) if !is_of_service(&status) => Seen::failed(&status),
        Err(status) => Seen::of(status.code() == Code::NotFound, words(&status)),
    }
}

async fn unknown_method(at: &Setting) -> Seen {
    let path =
        PathAndQuery::from_static("/google.ai.generativelanguage.v1beta.ModelService/NoSuchMethod");
    let codec = ProstCodec::<ListModelsRequest, ListModelsRequest>::default();
    let mut client = Grpc::new(at.grpc.clone());
    match client.unary(Request::new(page(1, "")), path, codec).await {
        Ok(_) => Seen::of(false, "it was answered"),
        Err(status) => {
            let is_grpc = is_of_service(&status) && status.code() == Code::Unimplemented;
            // A page in place of gRPC is an answer, too.
            let is_answer =
                Error::of(&status).is_none_or(|error| error.kind() == ErrorKind::ForeignAnswer);
            let seen = Seen::of(is_grpc, words(&status));
            if is_answer { seen } else { Seen::failed(&status) }
        }
    }
}

async fn page_of(at: &Setting, verb: Method, path: &str) -> Seen {
    match at.rest.json(verb, path).send().await {
        Ok(answer) => Seen::of(false, format!("{}", answer.status())),
        Err(status) if is_of_service(&status) => Seen::of(false, words(&status)),
        Err(status) => {
            let seen =
                Error::of(&status).and_then(Error::symptom).and_then(|one| one.evidence().status());
            match seen {
                Some(http) => Seen::of(http == http::StatusCode::NOT_FOUND, words(&status)),
                None => Seen::failed(&status),
            }
        }
    }
}

async fn enums_as_numbers(at: &Setting) -> Seen {
    let request = at.rest.json(Method::GET, "/v1beta/models").query("pageSize", "1");
    match request.query("$alt", "json;enum-encoding=int").send().await {
        Ok(answer) => {
            let is_list = answer.json::<Value>().is_ok_and(|list| list.get("models").is_some());
            Seen::of(is_list, format!("{}", answer.status()))
        }
        Err(status) => Seen::failed(&status),
    }
}

async fn gzip_request(at: &Setting) -> Seen {
    let mut client = generative(&at.grpc).send_compressed(CompressionEncoding::Gzip);
    match client.count_tokens(count(&at.model)).await {
        Ok(answer) => Seen::of(true, format!("{} tokens counted", answer.get_ref().total_tokens)),
        Err(status) => Seen::failed(&status),
    }
}

async fn gzip_answer(at: &Setting) -> Seen {
    let mut client = models(&at.grpc).accept_compressed(CompressionEncoding::Gzip);
    match client.list_models(page(50, "")).await {
        Ok(answer) => {
            let coding = answer.metadata().get("grpc-encoding");
            let coding = coding.and_then(|coding| coding.to_str().ok()).unwrap_or("no coding");
            Seen::of(true, format!("answered in {coding}"))
        }
        Err(status) => Seen::failed(&status),
    }
}

async fn deadline(at: &Setting) -> Seen {
    let mut client = generative(&at.grpc);
    let mut request = Request::new(count(&at.model));
    request.set_timeout(Duration::from_millis(1));
    let ended = match client.count_tokens(request).await {
        Ok(_) => "answered within its millisecond".to_owned(),
        Err(status) if status.code() == Code::DeadlineExceeded => {
            "ended by its deadline".to_owned()
        }
        Err(status) => return Seen::of(false, words(&status)),
    };
    match client.count_tokens(count(&at.model)).await {
        Ok(_) => Seen::of(true, format!("{ended}; the next one was answered")),
        Err(status) if is_of_service(&status) => {
            Seen::of(true, format!("{ended}; the next one: {}", words(&status)))
        }
        Err(status) => Seen::of(false, format!("{ended}; the next one: {}", words(&status))),
    }
}

async fn server_timeout(at: &Setting) -> Seen {
    let path = format!("/v1beta/{}:countTokens", at.model);
    let body = json!({"contents": [{"parts": [{"text": "?"}]}]});
    let request = at.rest.json(Method::POST, path).value(&body);
    match request.header("x-server-timeout", "20").send().await {
        Ok(answer) => Seen::of(true, format!("{}", answer.status())),
        Err(status) => Seen::failed(&status),
    }
}

const NO_MODEL: &str = "models/no-such-model-of-anyone";
