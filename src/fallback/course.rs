//! Course: how one call has fared so far, and where it may go after its last attempt broke.

use super::verdict::may_resend;
use crate::bridge::options::{ActiveTransport, ResendPolicy};
use crate::symptom::{Again, Symptom};

/// The way of one call: at most one switch, a few attempts on the same transport.
#[derive(Debug)]
pub(crate) struct Course {
    transport: ActiveTransport,
    policy: ResendPolicy,
    /// How often the call was sent again on the same transport.
    repeats: u32,
    /// Whether it may still change transport.
    may_switch: bool,
}

/// What the other transport is able to do at the moment when the first one failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Other {
    /// The call has a form that REST carries.
    pub(crate) has_rest_form: bool,
    /// gRPC is proven, so that it may take a call that REST did not get through.
    pub(crate) is_on_grpc: bool,
}

impl Other {
    /// There is no other way.
    pub(crate) const NONE: Self = Self { has_rest_form: false, is_on_grpc: false };
}

/// How often a call goes out again on the same transport before the failure counts as final.
const MAX_REPEATS: u32 = 3;

impl Course {
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
    pub(crate) fn after(&mut self, symptom: &Symptom, other: Other) -> Option<ActiveTransport> {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symptom::SymptomKind;
    use ActiveTransport::{Grpc, Rest};

    const OPEN: Other = Other { has_rest_form: true, is_on_grpc: true };

    fn symptom(kind: SymptomKind) -> Symptom {
        Symptom::new(kind, "proxy")
    }

    fn auto() -> Course {
        Course::new(Grpc, ResendPolicy::default(), true)
    }

    #[test]
    fn a_call_changes_its_transport_once() {
        let mut course = auto();
        assert_eq!(course.after(&symptom(SymptomKind::Http2NotOffered), OPEN), Some(Rest));
        assert_eq!(course.after(&symptom(SymptomKind::ConnectionRefused), OPEN), None);
    }

    #[test]
    fn a_refused_stream_is_sent_three_times_more_and_then_switches() {
        let mut course = auto();
        let refused = symptom(SymptomKind::StreamRefused);
        for next in [Some(Grpc), Some(Grpc), Some(Grpc), Some(Rest)] {
            assert_eq!(course.after(&refused, OPEN), next);
        }
    }

    #[test]
    fn nothing_is_sent_again_that_may_have_been_processed() {
        for kind in [SymptomKind::TrailersMissing, SymptomKind::Unanswered, SymptomKind::NotGrpc] {
            assert_eq!(auto().after(&symptom(kind), OPEN), None, "{kind:?}");
        }
        let mut course = Course::new(Grpc, ResendPolicy::WhenUnanswered, true);
        assert_eq!(course.after(&symptom(SymptomKind::Unanswered), OPEN), Some(Rest));
    }

    #[test]
    fn the_users_choice_is_final() {
        for transport in [Grpc, Rest] {
            let mut course = Course::new(transport, ResendPolicy::WhenUnanswered, false);
            for kind in SymptomKind::ALL {
                let next = course.after(&symptom(*kind), OPEN);
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
    fn a_closed_way_is_not_taken() {
        let no_rest = Other { has_rest_form: false, is_on_grpc: true };
        assert_eq!(auto().after(&symptom(SymptomKind::Http2NotOffered), no_rest), None);
        let mut course = Course::new(Rest, ResendPolicy::default(), true);
        let unproven = Other { has_rest_form: true, is_on_grpc: false };
        assert_eq!(course.after(&symptom(SymptomKind::ConnectionRefused), unproven), None);
    }
}
