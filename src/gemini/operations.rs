//! Operations: the HTTP rules under which the API serves `google.longrunning.Operations`.
//!
//! The service configurations of
//! [v1beta](https://github.com/googleapis/googleapis/blob/f8291d2b89f0017ab078a4c7378069bae5686f6f/google/ai/generativelanguage/v1beta/generativelanguage_v1beta.yaml)
//! and v1 replace the rules of `operations.proto`. The method's path does not tell the version, so
//! those of v1beta come first, and those of v1 take the names that v1beta has no rule for.

use crate::schema::rule::{HttpBinding, HttpOverride};

pub(super) const HTTP_RULES: &[HttpOverride<'_>] = &[
    HttpOverride {
        selector: "google.longrunning.Operations.CancelOperation",
        bindings: &[
            bind("POST", "/v1beta/{name=batches/*}:cancel", ""),
            bind("POST", "/v1/{name=tunedModels/*/operations/*}:cancel", "*"),
        ],
    },
    HttpOverride {
        selector: "google.longrunning.Operations.DeleteOperation",
        bindings: &[
            bind("DELETE", "/v1beta/{name=batches/*}", ""),
            bind("DELETE", "/v1/{name=operations/**}", ""),
        ],
    },
    HttpOverride {
        selector: "google.longrunning.Operations.GetOperation",
        bindings: &[
            bind("GET", "/v1beta/{name=tunedModels/*/operations/*}", ""),
            bind("GET", "/v1beta/{name=generatedFiles/*/operations/*}", ""),
            bind("GET", "/v1beta/{name=batches/*}", ""),
            bind("GET", "/v1beta/{name=models/*/operations/*}", ""),
            bind("GET", "/v1beta/{name=corpora/*/operations/*}", ""),
            bind("GET", "/v1/{name=ragStores/*/operations/*}", ""),
            bind("GET", "/v1/{name=ragStores/*/upload/operations/*}", ""),
        ],
    },
    HttpOverride {
        selector: "google.longrunning.Operations.ListOperations",
        bindings: &[
            bind("GET", "/v1beta/{name=tunedModels/*}/operations", ""),
            bind("GET", "/v1beta/{name=batches}", ""),
            bind("GET", "/v1beta/{name=models/*}/operations", ""),
            bind("GET", "/v1/{name=operations}", ""),
        ],
    },
];

const fn bind<'a>(verb: &'a str, path: &'a str, body: &'a str) -> HttpBinding<'a> {
    HttpBinding { verb, path, body, response_body: "" }
}
