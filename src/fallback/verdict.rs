//! Verdict: what each symptom means for gRPC and for the call in hand. The one table of fallback rules.

#![warn(clippy::wildcard_enum_match_arm)]

use crate::bridge::options::ResendPolicy;
use crate::symptom::{Proof, SymptomKind};

/// What a symptom, met on gRPC, says about gRPC on this network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing.
    No,
    /// gRPC is suspect: a proof decides.
    Ambiguous,
    /// gRPC is broken here; one counts.
    Certain,
}

/// Where a call goes if it may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// On a new connection of the same transport.
    Same,
    /// On the other transport.
    Other,
    /// Nowhere, though it was not sent: asking once more would do harm.
    Nowhere,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    pub(crate) mark: Mark,
    pub(crate) again: Again,
}

impl Verdict {
    const fn new(mark: Mark, again: Again) -> Self {
        Self { mark, again }
    }

    /// The row for `kind`. Whether the call may be sent again is not in it: that follows from the
    /// symptom's proof alone, see [`may_resend`].
    #[expect(clippy::match_same_arms, reason = "each group has its own reason")]
    pub(crate) const fn of(kind: SymptomKind) -> Self {
        use Again::{Nowhere, Other, Same};
        use Mark::{Ambiguous, Certain, No};
        use SymptomKind as Kind;
        match kind {
            // An outage or a firewall: it meets both transports, and says nothing of gRPC.
            Kind::NameNotFound
            | Kind::ConnectionRefused
            | Kind::Unreachable
            | Kind::ConnectReset
            | Kind::ConnectTimeout => Self::new(No, Other),
            // The other transport logs in alike, and a proxy that counts wrong logins locks the user out.
            Kind::ProxyAuthenticationRequired | Kind::SocksRefused => Self::new(No, Nowhere),
            // The tunnel is refused before anyone can know what it will carry.
            Kind::ProxyForbidden
            | Kind::ProxyUpstreamFailed
            | Kind::ProxyRedirected
            | Kind::ProxyRejected
            | Kind::ProxyClosed
            | Kind::ProxyMalformed
            | Kind::ProxyTimeout => Self::new(No, Other),
            // Both transports trust the same roots.
            Kind::CertificateUnknownIssuer
            | Kind::CertificateExpired
            | Kind::CertificateWrongName
            | Kind::CertificateInvalid => Self::new(No, Other),
            // May be an inspection that dislikes the offer of h2, or an outage.
            Kind::TlsAlert
            | Kind::TlsClosed
            | Kind::TlsReset
            | Kind::TlsTimeout
            | Kind::NotTls
            | Kind::TlsMalformed => Self::new(Ambiguous, Other),
            // This way does not carry HTTP/2.
            Kind::Http2NotOffered | Kind::Http1Answer | Kind::NotHttp2 => Self::new(Certain, Other),
            // HTTP/2 was agreed on and then denied: a middlebox, or a service going down.
            Kind::ClosedBeforeSettings
            | Kind::ResetBeforeSettings
            | Kind::SettingsTimeout
            | Kind::GoAwayAtStart => Self::new(Ambiguous, Other),
            // Ordinary life of an HTTP/2 connection: another connection takes the call.
            Kind::NeverSent | Kind::GoAwayGraceful => Self::new(No, Same),
            // The peer is full for a moment, or will have no gRPC at all.
            Kind::StreamRefused => Self::new(Ambiguous, Same),
            // The peer closes with an error: load, or a dislike of gRPC.
            Kind::GoAwayUnprocessed => Self::new(Ambiguous, Other),
            // The peer says so itself.
            Kind::Http11Required => Self::new(Certain, Other),
            // A middlebox that cuts gRPC, or an ordinary loss.
            Kind::StreamReset
            | Kind::ConnectionLost
            | Kind::KeepAliveTimeout
            | Kind::Unanswered => Self::new(Ambiguous, Other),
            // Something that does not speak gRPC answers in place of the service.
            Kind::NotGrpc | Kind::Redirected => Self::new(Certain, Other),
            // Met on REST.
            Kind::NotJson | Kind::ForeignError => Self::new(No, Other),
            // An intermediary answers for its dead upstream, mostly on both transports; if REST
            // works all the same, gRPC is what it cannot carry.
            Kind::ForgedStatus => Self::new(Ambiguous, Other),
            // The answer was cut: a limit of a middlebox, or an ordinary loss.
            Kind::AnswerMalformed
            | Kind::BodyReset
            | Kind::BodyLost
            | Kind::BodyStalled
            | Kind::BodyTruncated
            | Kind::BodyMalformed => Self::new(Ambiguous, Other),
            // A hop speaks HTTP/1 behind HTTP/2 and drops trailers.
            Kind::TrailersMissing => Self::new(Certain, Other),
        }
    }
}

/// Whether a failure of gRPC's proof ends the calls that wait for it.
pub(crate) fn is_final(kind: SymptomKind) -> bool {
    Verdict::of(kind).again == Again::Nowhere
}

/// Whether a call that met a failure of this proof may be sent a second time.
///
/// | proof | `Never` | `WhenUnprocessed` | `WhenUnanswered` |
/// |---|---|---|---|
/// | `NotSent` | yes: it was not sent | yes | yes |
/// | `Refused` | no | yes | yes |
/// | `Answered`, `Unknown` | no | no | yes |
/// | `Processed` | no | no | no |
#[expect(clippy::match_same_arms, reason = "the rows of the table above")]
pub(crate) const fn may_resend(policy: ResendPolicy, proof: Proof) -> bool {
    match (proof, policy) {
        (Proof::NotSent, _) => true,
        (Proof::Refused, ResendPolicy::WhenUnprocessed | ResendPolicy::WhenUnanswered)
        | (Proof::Answered | Proof::Unknown, ResendPolicy::WhenUnanswered) => true,
        (Proof::Refused | Proof::Answered | Proof::Unknown | Proof::Processed, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unprocessed_call_is_sent_again_by_default() {
        for kind in SymptomKind::ALL {
            let unprocessed = matches!(kind.proof(), Proof::NotSent | Proof::Refused);
            assert_eq!(may_resend(ResendPolicy::default(), kind.proof()), unprocessed, "{kind:?}");
        }
    }

    #[test]
    fn what_was_processed_is_never_sent_again() {
        assert!(!may_resend(ResendPolicy::WhenUnanswered, Proof::Processed));
    }

    #[test]
    fn never_means_that_a_call_leaves_once() {
        assert!(may_resend(ResendPolicy::Never, Proof::NotSent));
        assert!(!may_resend(ResendPolicy::Never, Proof::Refused));
    }

    #[test]
    fn outages_and_proxy_refusals_mark_nothing() {
        use crate::symptom::Station;
        for kind in SymptomKind::ALL.iter().filter(|kind| kind.station() <= Station::Proxy) {
            assert_eq!(Verdict::of(*kind).mark, Mark::No, "{kind:?}");
        }
    }
}
