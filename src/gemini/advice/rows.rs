//! Rows: the service's errors by code, and by the reason where it gives one.
//!
//! Causes and remedies are those of the [troubleshooting
//! guide](https://ai.google.dev/gemini-api/docs/troubleshooting); reasons those of
//! [`google/api/error_reason.proto`](https://github.com/googleapis/googleapis/blob/f8291d2b89f0017ab078a4c7378069bae5686f6f/google/api/error_reason.proto).

use tonic::Code;

use crate::gemini::parameters::RANGES;

/// What a code means.
pub(super) struct Row {
    pub(super) code: Code,
    /// The HTTP status that it comes with over REST.
    pub(super) http: u16,
    pub(super) name: &'static str,
    pub(super) cause: &'static str,
    pub(super) remedies: &'static [&'static str],
}

/// What a reason means, whatever the code.
pub(super) struct Reason {
    name: &'static str,
    pub(super) cause: &'static str,
    pub(super) remedies: &'static [&'static str],
}

/// The row of a code; `UNKNOWN` where the guide has nothing to say.
pub(super) fn row_of(code: Code) -> &'static Row {
    ROWS.iter().find(|row| row.code == code).unwrap_or(&UNKNOWN)
}

/// A reason of `google.rpc.ErrorInfo`, where it says more than the code.
pub(super) fn reason_of(name: &str) -> Option<&'static Reason> {
    REASONS.iter().find(|reason| reason.name == name)
}

const fn row(
    code: Code,
    http: u16,
    name: &'static str,
    cause: &'static str,
    remedies: &'static [&'static str],
) -> Row {
    Row { code, http, name, cause, remedies }
}

static ROWS: [Row; 15] = [
    row(
        Code::InvalidArgument,
        400,
        "INVALID_ARGUMENT",
        "the request is malformed: a typo, a missing field, a value out of range, a payload too large for the service, or a feature of a newer version of the API than the endpoint's",
        &[
            "compare the request with the reference of the version that is called: https://ai.google.dev/api",
            RANGES,
            "if a size is named, the limit is the service's: upload files with the Files API and refer to them",
        ],
    ),
    row(
        Code::FailedPrecondition,
        400,
        "FAILED_PRECONDITION",
        "the free tier is not available in this country, or what the call needs is not in the right state",
        &[
            "enable billing for the project in Google AI Studio: https://aistudio.google.com/app/apikey",
            "regions where the free tier is available: https://ai.google.dev/gemini-api/docs/available-regions",
        ],
    ),
    row(
        Code::OutOfRange,
        400,
        "OUT_OF_RANGE",
        "a value or a message is larger than allowed",
        &["an answer above 4 MiB needs max_decoding_message_size on the generated client"],
    ),
    row(
        Code::Unauthenticated,
        401,
        "UNAUTHENTICATED",
        "there is no key or token on the call, or it has expired",
        &["set GEMINI_API_KEY, or give other credentials"],
    ),
    row(
        Code::PermissionDenied,
        403,
        "PERMISSION_DENIED",
        "the API key lacks the rights for this, or a tuned model is used without proper authentication",
        &[
            "check that the key is that of the right project, and is allowed to use this API: https://aistudio.google.com/app/apikey",
            "a tuned model needs credentials that may use it: https://ai.google.dev/gemini-api/docs/oauth",
        ],
    ),
    row(
        Code::NotFound,
        404,
        "NOT_FOUND",
        "what the request names is not there: a model that this version of the API does not have, or an image, audio or video file that is gone (files are kept for 48 hours)",
        &[
            "check the name: ListModels tells the models of this version and what they support",
            "check that all parameters are those of the version of the API that is called; upload expired files again",
        ],
    ),
    row(
        Code::AlreadyExists,
        409,
        "ALREADY_EXISTS",
        "the id is taken, for instance that of a tuned model",
        &["choose another id, or leave it out and let the service choose one"],
    ),
    row(
        Code::Aborted,
        409,
        "ABORTED",
        "another call changed the same thing at the same time",
        &["read it anew, and try again"],
    ),
    row(
        Code::ResourceExhausted,
        429,
        "RESOURCE_EXHAUSTED",
        "the rate limit or the quota of this project and model is used up",
        &[
            "stay under the limits of the model: https://ai.google.dev/gemini-api/docs/rate-limits",
            "retry automatically: RetryPolicy::google().also(Code::ResourceExhausted)",
            "ask for more quota, or use a model with more",
        ],
    ),
    row(
        Code::Cancelled,
        499,
        "CANCELLED",
        "the call was given up before it ended",
        &["if you did not cancel it, a timeout of the client did: raise it"],
    ),
    row(
        Code::Internal,
        500,
        "INTERNAL",
        "an unexpected error of the service; often the input context is too long",
        &[
            "shorten the prompt, or try another model, such as a Flash in place of a Pro",
            "wait a little and try again",
            "if it goes on, report it with \"Send feedback\" in Google AI Studio",
        ],
    ),
    row(
        Code::DataLoss,
        500,
        "DATA_LOSS",
        "the service lost data that cannot be had again",
        &["send the request again; upload the files that it refers to again"],
    ),
    row(
        Code::Unimplemented,
        501,
        "UNIMPLEMENTED",
        "the service does not have this method, or not in this version of the API",
        &["check the version of the client: v1beta has methods that v1 lacks"],
    ),
    row(
        Code::Unavailable,
        503,
        "UNAVAILABLE",
        "the service is overloaded or down for the moment",
        &[
            "try another model, such as a Flash in place of a Pro",
            "wait a little and try again; by default the bridge has tried up to five times",
        ],
    ),
    row(
        Code::DeadlineExceeded,
        504,
        "DEADLINE_EXCEEDED",
        "the service could not finish in time: the prompt, or its context, is too large",
        &[
            "set a longer timeout on the call, if you set one below the default of ten minutes",
            "shorten the prompt, or use a faster model",
        ],
    ),
];

/// For a unary call that was silent for long.
pub(super) const STREAM_UNDER: &str = "if something on the way ends calls that are silent while the model thinks, ask for the answer as a stream, with StreamGenerateContent; the library can do so below a unary call (stream_under)";

static UNKNOWN: Row = row(
    Code::Unknown,
    500,
    "UNKNOWN",
    "the service did not say more",
    &[
        "wait a little and try again",
        "look at the service's state: https://aistudio.google.com/status",
    ],
);

const fn reason(
    name: &'static str,
    cause: &'static str,
    remedies: &'static [&'static str],
) -> Reason {
    Reason { name, cause, remedies }
}

static REASONS: [Reason; 12] = [
    reason(
        "API_KEY_INVALID",
        "the API key is wrong: mistyped, deleted, or expired",
        &["copy the key again, or make a new one: https://aistudio.google.com/app/apikey"],
    ),
    reason(
        "API_KEY_SERVICE_BLOCKED",
        "the API key is restricted to other services",
        &[
            "allow the Generative Language API in the restrictions of the key: https://console.cloud.google.com/apis/credentials",
        ],
    ),
    reason(
        "API_KEY_IP_ADDRESS_BLOCKED",
        "the API key is restricted to other IP addresses; behind a proxy the proxy's counts",
        &["add the address from which the service is called to the restrictions of the key"],
    ),
    reason(
        "API_KEY_HTTP_REFERRER_BLOCKED",
        "the API key is restricted to web pages, and this is a program",
        &["make a key without a restriction to referrers"],
    ),
    reason(
        "SERVICE_DISABLED",
        "the API is not enabled in the project that the key or the credentials belong to",
        &["enable it under the link below, wait a few minutes, and try again"],
    ),
    reason(
        "BILLING_DISABLED",
        "the project has no billing account",
        &["enable billing for the project: https://console.cloud.google.com/billing"],
    ),
    reason(
        "CONSUMER_SUSPENDED",
        "the project or the key has been suspended",
        &["look for an email from Google Cloud to the project's owner, and make a new key"],
    ),
    reason(
        "CONSUMER_INVALID",
        "the project that is to pay does not exist",
        &["check the project named in x-goog-user-project and that of the key"],
    ),
    reason(
        "RATE_LIMIT_EXCEEDED",
        "too many calls in a short time",
        &[
            "stay under the limits of the model: https://ai.google.dev/gemini-api/docs/rate-limits",
            "retry automatically: RetryPolicy::google().also(Code::ResourceExhausted)",
        ],
    ),
    reason(
        "IAM_PERMISSION_DENIED",
        "the credentials lack the permission that is named",
        &["grant it to the account, or use another account"],
    ),
    reason(
        "ACCESS_TOKEN_EXPIRED",
        "the access token has expired",
        &["let Credentials::bearer fetch tokens: it renews them in time"],
    ),
    reason(
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        "the access token was made for other scopes",
        &["ask for https://www.googleapis.com/auth/generative-language, or cloud-platform"],
    ),
];
