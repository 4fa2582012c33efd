//! Faults: what each of them leaves alone.

use genai_bridge::emulator::Fault;

/// Faults that hit the free call as they hit others, and spare REST.
pub(super) fn is_seen_by_a_free_call(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::Pass
            | Fault::ConnectHttp10
            | Fault::ConnectCreated
            | Fault::ConnectSplit
            | Fault::Inspect
            | Fault::Http1Answer
            | Fault::PrefaceGarbage
            | Fault::ClosedAfterPreface
            | Fault::ResetAfterPreface
            | Fault::PrefaceSwallowed
            | Fault::SettingsThenSilence
            | Fault::NoStreams
            | Fault::GoAwayAtStart
            | Fault::GoAwayAtStartHttp11Required
            | Fault::GoAwayAtStartEnhanceYourCalm
            | Fault::StreamRefused
            | Fault::StreamResetNoError
            | Fault::StreamResetProtocolError
            | Fault::StreamResetInternalError
            | Fault::StreamResetCancel
            | Fault::StreamResetEnhanceYourCalm
            | Fault::StreamResetHttp11Required
            | Fault::Page200
            | Fault::Page403
            | Fault::Page502
            | Fault::Page504
            | Fault::Empty503
            | Fault::Redirected
            | Fault::JsonAnswer
            | Fault::EmptyAnswer
            | Fault::ForgedUnavailable
            | Fault::TrailersStripped
            | Fault::CallSwallowed
            | Fault::AnswerSwallowed
            | Fault::ClosedBeforeAnswer
            | Fault::ResetBeforeAnswer
            | Fault::ClosedAfterHead
            | Fault::ResetAfterHead
            | Fault::StreamResetAfterHead
            | Fault::StalledAfterHead
    )
}

/// They hit what comes after the head of an answer.
pub(super) fn lets_heads_pass(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::TrailersStripped
            | Fault::ClosedAfterHead
            | Fault::ResetAfterHead
            | Fault::StreamResetAfterHead
            | Fault::StalledAfterHead
    )
}

/// Bytes pass unread.
pub(super) fn is_tunnel(fault: Fault) -> bool {
    does_no_harm(fault) && fault != Fault::Inspect
}

/// They let everything pass that is no TLS.
pub(super) fn does_no_harm(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::Pass
            | Fault::ConnectHttp10
            | Fault::ConnectCreated
            | Fault::ConnectSplit
            | Fault::Inspect
    )
}

/// They leave gRPC without an answer, and REST alone.
pub(super) fn is_silent(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::PrefaceSwallowed
            | Fault::SettingsThenSilence
            | Fault::NoStreams
            | Fault::CallSwallowed
            | Fault::AnswerSwallowed
            | Fault::StalledAfterHead
    )
}
