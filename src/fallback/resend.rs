//! Resend: whether a failed call may be sent again, by what its failure proves, and over which
//! transport.

#![warn(clippy::wildcard_enum_match_arm)]

use crate::bridge::options::{ActiveTransport, ResendPolicy};
use crate::symptom::{Again, Delivery, Station, Symptom, SymptomKind};

/// How one call has fared so far: it switches its transport at most once, and is sent a few times
/// on the same one.
#[derive(Debug)]
pub(crate) struct ResendState {
    transport: ActiveTransport,
    policy: ResendPolicy,
    /// How often the call was sent again on the same transport.
    repeats: u32,
    /// Whether it may still change transport.
    may_switch: bool,
}

/// What the other transport is able to do at the moment when the first one failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OtherTransport {
    /// The call has a form that REST carries.
    pub(crate) has_rest_form: bool,
    /// gRPC is proven, so that it may take a call that REST did not get through.
    pub(crate) is_on_grpc: bool,
}

impl OtherTransport {
    /// There is no other way.
    pub(crate) const NONE: Self = Self { has_rest_form: false, is_on_grpc: false };
}

/// How often a call goes out again on the same transport before the failure counts as final.
const MAX_REPEATS: u32 = 3;

impl ResendState {
    /// `may_switch` is false where the user chose the transport, or where gRPC's failed probe has
    /// sent the call to REST already.
    pub(crate) fn new(transport: ActiveTransport, policy: ResendPolicy, may_switch: bool) -> Self {
        Self { transport, policy, repeats: 0, may_switch }
    }

    pub(crate) fn transport(&self) -> ActiveTransport {
        self.transport
    }

    /// The verdict on an attempt that `symptom` broke: the transport to send the call over once
    /// more, or `None` if the failure is final.
    pub(crate) fn after(
        &mut self,
        symptom: &Symptom,
        other: OtherTransport,
    ) -> Option<ActiveTransport> {
        let again = symptom.kind().again();
        if again == Again::Nowhere || !may_resend(self.policy, symptom.delivery()) {
            return None;
        }
        if again == Again::Same && self.repeats < MAX_REPEATS {
            self.repeats += 1;
            return Some(self.transport);
        }
        let (next, is_open) = match self.transport {
            ActiveTransport::Grpc => (ActiveTransport::Rest, other.has_rest_form),
            ActiveTransport::Rest => (ActiveTransport::Grpc, other.is_on_grpc),
        };
        if !self.may_switch || !is_open {
            return None;
        }
        (self.transport, self.may_switch) = (next, false);
        Some(next)
    }

    /// The same where there is one transport alone: whether what `symptom` broke is sent once more.
    /// What another connection may mend is tried again; an outage is not waited for.
    pub(crate) fn goes_on(&mut self, symptom: &Symptom) -> bool {
        let is_transient = match symptom.kind().again() {
            Again::Nowhere => false,
            Again::Same => self.repeats < MAX_REPEATS,
            Again::Other => symptom.station() == Station::Request && self.repeats < 1,
        };
        let again = is_transient && may_resend(self.policy, symptom.delivery());
        self.repeats += u32::from(again);
        again
    }
}

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
    use ActiveTransport::{Grpc, Rest};

    const OPEN: OtherTransport = OtherTransport { has_rest_form: true, is_on_grpc: true };

    fn symptom(kind: SymptomKind) -> Symptom {
        Symptom::new(kind, "proxy")
    }

    fn auto() -> ResendState {
        ResendState::new(Grpc, ResendPolicy::default(), true)
    }

    #[test]
    fn a_call_changes_its_transport_once() {
        let mut resends = auto();
        assert_eq!(resends.after(&symptom(SymptomKind::Http2NotOffered), OPEN), Some(Rest));
        assert_eq!(resends.after(&symptom(SymptomKind::ConnectionRefused), OPEN), None);
    }

    #[test]
    fn with_one_transport_alone_a_lost_call_goes_again_by_its_policy() {
        for (policy, kind, repeats) in [
            (ResendPolicy::WhenUnprocessed, SymptomKind::NeverSent, 3),
            (ResendPolicy::WhenUnprocessed, SymptomKind::ConnectionLost, 0),
            (ResendPolicy::WhenUnanswered, SymptomKind::ConnectionLost, 1),
            (ResendPolicy::Never, SymptomKind::NeverSent, 3),
            (ResendPolicy::WhenUnanswered, SymptomKind::ConnectionRefused, 0),
            (ResendPolicy::WhenUnanswered, SymptomKind::Redirected, 0),
            (ResendPolicy::WhenUnanswered, SymptomKind::ProxyAuthenticationRequired, 0),
        ] {
            let mut resends = ResendState::new(Rest, policy, false);
            let sent = std::iter::repeat_with(|| resends.goes_on(&symptom(kind)));
            assert_eq!(sent.take_while(|again| *again).count(), repeats, "{policy:?} {kind:?}");
        }
    }

    #[test]
    fn a_refused_stream_is_sent_three_times_more_and_then_switches() {
        let mut resends = auto();
        let refused = symptom(SymptomKind::StreamRefused);
        for next in [Some(Grpc), Some(Grpc), Some(Grpc), Some(Rest)] {
            assert_eq!(resends.after(&refused, OPEN), next);
        }
    }

    #[test]
    fn nothing_is_sent_again_that_may_have_been_processed() {
        for kind in [SymptomKind::TrailersMissing, SymptomKind::Unanswered, SymptomKind::NotGrpc] {
            assert_eq!(auto().after(&symptom(kind), OPEN), None, "{kind:?}");
        }
        let mut resends = ResendState::new(Grpc, ResendPolicy::WhenUnanswered, true);
        assert_eq!(resends.after(&symptom(SymptomKind::Unanswered), OPEN), Some(Rest));
    }

    #[test]
    fn the_users_choice_is_final() {
        for transport in [Grpc, Rest] {
            let mut resends = ResendState::new(transport, ResendPolicy::WhenUnanswered, false);
            for kind in SymptomKind::ALL {
                let next = resends.after(&symptom(*kind), OPEN);
                assert!(next.is_none_or(|next| next == transport), "{kind:?}");
            }
        }
    }

    #[test]
    fn a_login_that_was_refused_is_not_tried_over_the_other_transport() {
        for kind in [SymptomKind::ProxyAuthenticationRequired, SymptomKind::SocksRefused] {
            assert_eq!(auto().after(&symptom(kind), OPEN), None, "{kind:?}");
        }
    }

    #[test]
    fn a_probe_whose_login_was_refused_ends_the_calls_that_wait_for_it() {
        assert!(is_final(SymptomKind::ProxyAuthenticationRequired));
        assert!(!is_final(SymptomKind::ConnectionRefused));
        assert!(!is_final(SymptomKind::StreamRefused));
    }

    #[test]
    fn a_closed_way_is_not_taken() {
        let no_rest = OtherTransport { has_rest_form: false, is_on_grpc: true };
        assert_eq!(auto().after(&symptom(SymptomKind::Http2NotOffered), no_rest), None);
        let mut resends = ResendState::new(Rest, ResendPolicy::default(), true);
        let unproven = OtherTransport { has_rest_form: true, is_on_grpc: false };
        assert_eq!(resends.after(&symptom(SymptomKind::ConnectionRefused), unproven), None);
    }

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
