//! Remembering: what was learnt of the network leaves one bridge, and enters another.

use super::core::Core;
use crate::fallback::Remembered;
use crate::symptom::{Evidence, Symptom};

impl Core {
    /// The endpoint, and the proxy or the program's own carrier before it: what is learnt holds for
    /// no other.
    pub(crate) fn network_name(&self) -> String {
        let scheme = self.rest.origin().scheme_str().unwrap_or_default();
        format!("{scheme}, {}", self.grpc.hop())
    }

    pub(crate) fn verdicts(&self) -> Remembered {
        self.fallback.verdicts()
    }

    /// Takes over what was learnt of the same network before. Methods that have no choice are
    /// passed over.
    pub(crate) fn remember(&self, mut remembered: Remembered) {
        remembered.methods.retain(|(path, _)| {
            let method = self.schema.find_method(path);
            method.is_some_and(|method| method.rest_form().is_ok())
        });
        let evidence = || Evidence::new().with_detail("remembered from before");
        let symptom = |kind| Symptom::new(kind, &*self.grpc.hop().get()).with_evidence(evidence());
        self.fallback.remember(&remembered, symptom);
    }
}
