//! Verdict: whether a failed call may be sent again, by what its failure proves.

#![warn(clippy::wildcard_enum_match_arm)]

use crate::bridge::options::ResendPolicy;
use crate::symptom::{Again, Delivery, SymptomKind};

/// Whether a failure of gRPC's probe ends the calls that wait for it.
pub(crate) fn is_final(kind: SymptomKind) -> bool {
    kind.again() == Again::Nowhere
}

/// Whether a call that met a failure that proves this may be sent a second time.
///
/// | proven | `Never` | `WhenUnprocessed` | `WhenUnanswered` |
/// |---|---|---|---|
/// | `NotSent` | yes: it was not sent | yes | yes |
/// | `Refused` | no | yes | yes |
/// | `Answered`, `Unknown` | no | no | yes |
/// | `Processed` | no | no | no |
#[expect(clippy::match_same_arms, reason = "the rows of the table above")]
pub(crate) const fn may_resend(policy: ResendPolicy, delivery: Delivery) -> bool {
    match (delivery, policy) {
        (Delivery::NotSent, _) => true,
        (Delivery::Refused, ResendPolicy::WhenUnprocessed | ResendPolicy::WhenUnanswered)
        | (Delivery::Answered | Delivery::Unknown, ResendPolicy::WhenUnanswered) => true,
        (Delivery::Refused | Delivery::Answered | Delivery::Unknown | Delivery::Processed, _) => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unprocessed_call_is_sent_again_by_default() {
        for kind in SymptomKind::ALL {
            let unprocessed = matches!(kind.delivery(), Delivery::NotSent | Delivery::Refused);
            assert_eq!(
                may_resend(ResendPolicy::default(), kind.delivery()),
                unprocessed,
                "{kind:?}"
            );
        }
    }

    #[test]
    fn what_was_processed_is_never_sent_again() {
        assert!(!may_resend(ResendPolicy::WhenUnanswered, Delivery::Processed));
    }

    #[test]
    fn never_means_that_a_call_leaves_once() {
        assert!(may_resend(ResendPolicy::Never, Delivery::NotSent));
        assert!(!may_resend(ResendPolicy::Never, Delivery::Refused));
    }
}
