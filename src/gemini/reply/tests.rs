//! What replies hold, and what they do not.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where its setting is not as expected"
)]

use super::*;
use crate::{v1, v1beta};
use v1beta::candidate::FinishReason as Finish;
use v1beta::generate_content_response::PromptFeedback;
use v1beta::generate_content_response::prompt_feedback::BlockReason as Block;
use v1beta::part::Data;
use v1beta::{Candidate, Content, FunctionCall, GenerateContentResponse, Part};

fn part(text: &str, thought: bool) -> Part {
    Part { data: Some(Data::Text(text.into())), thought, ..Part::default() }
}

fn reply(parts: Vec<Part>, finish_reason: i32) -> GenerateContentResponse {
    let content = Some(Content { parts, role: "model".into(), ..Default::default() });
    let candidate = Candidate { content, finish_reason, ..Candidate::default() };
    GenerateContentResponse { candidates: vec![candidate], ..Default::default() }
}

fn blocked(block_reason: i32) -> GenerateContentResponse {
    let feedback = PromptFeedback { block_reason, ..PromptFeedback::default() };
    GenerateContentResponse { prompt_feedback: Some(feedback), ..Default::default() }
}

#[test]
fn text_is_that_of_the_first_candidate_without_its_thoughts() {
    let mut reply = reply(vec![part("hm", true), part("a", false), part("b", false)], 1);
    reply.candidates.extend(self::reply(vec![part("other", false)], 1).candidates);
    assert_eq!(reply.text().expect("a text"), "ab");
    assert_eq!(reply.parts().expect("parts").len(), 3);
    assert_eq!(reply.finish().expect("an end").known(), Some(Finish::Stop));
}

#[test]
fn function_calls_are_found_where_there_is_no_text() {
    let call = FunctionCall { name: "look".into(), ..FunctionCall::default() };
    let part = Part { data: Some(Data::FunctionCall(call)), ..Part::default() };
    let reply = reply(vec![part], 1);
    assert_eq!(reply.text().expect("no text"), "");
    assert_eq!(reply.function_calls().expect("a call")[0].name, "look");
}

#[test]
fn each_reason_to_stop_keeps_its_number_and_the_text_so_far() {
    for number in (2..=17).chain([18, 99, -1, i32::MAX, i32::MIN]) {
        match reply(vec![part("half", false)], number).text() {
            Err(error @ ReplyError::CandidateStopped { finish_reason, .. }) => {
                assert_eq!((finish_reason.number(), error.text()), (number, "half"));
                assert_eq!(finish_reason.known().is_some(), (2..=17).contains(&number), "{number}");
                assert!(!error.advice().is_empty() && !error.to_string().contains("half"));
            }
            other => panic!("{number}: {other:?}"),
        }
    }
}

#[test]
fn each_reason_to_block_keeps_its_number() {
    for number in (0..=5).chain([6, 99, -1, i32::MAX]) {
        match blocked(number).text() {
            Err(ReplyError::PromptBlocked { reason, .. }) => {
                assert_eq!(reason.number(), number);
                assert!(!reason.advice().is_empty());
            }
            other => panic!("{number}: {other:?}"),
        }
    }
}

#[test]
fn ratings_without_a_reason_do_not_block_an_answer() {
    let mut reply = reply(vec![part("yes", false)], 1);
    reply.prompt_feedback = blocked(Block::Unspecified.into()).prompt_feedback;
    assert_eq!(reply.text().expect("a text"), "yes");
}

#[test]
fn what_has_no_content_is_empty() {
    assert_eq!(GenerateContentResponse::default().text(), Err(ReplyError::Empty));
    assert_eq!(reply(vec![], 1).text(), Err(ReplyError::Empty));
    assert_eq!(reply(vec![], 0).finish(), Err(ReplyError::Empty));
    assert_eq!(v1::GenerateContentResponse::default().parts(), Err(ReplyError::Empty));
}

#[test]
fn what_no_reason_ends_is_unfinished() {
    let mut reply = reply(vec![part("hm", true), part("half", false)], 0);
    let unfinished = ReplyError::Unfinished { text: "half".into() };
    assert_eq!(reply.text(), Err(unfinished.clone()));
    assert_eq!(reply.finish(), Err(unfinished.clone()));
    assert_eq!(reply.text_so_far(), "half");
    let feedback = PromptFeedback::default();
    let rated = GenerateContentResponse { prompt_feedback: Some(feedback), ..reply.clone() };
    assert_eq!(rated.text(), Err(unfinished));
    // Of several candidates one tells that the answer is whole.
    reply.candidates.extend(self::reply(vec![], 1).candidates);
    assert_eq!(reply.text().expect("a text"), "half");
    assert_eq!(reply.finish().expect("whole").number(), 0);
}

#[test]
fn v1_reads_as_v1beta_does() {
    let stopped = v1::Candidate { finish_reason: 3, ..v1::Candidate::default() };
    let reply = v1::GenerateContentResponse { candidates: vec![stopped], ..Default::default() };
    let error = reply.text().expect_err("stopped");
    assert_eq!(error.to_string(), "the model stopped early: SAFETY");
}

#[test]
fn ratings_name_what_is_to_blame() {
    let rating = v1beta::SafetyRating {
        category: v1beta::HarmCategory::Harassment.into(),
        blocked: true,
        ..Default::default()
    };
    let mut reply = blocked(Block::Safety.into());
    let feedback = reply.prompt_feedback.as_mut().expect("feedback");
    feedback.safety_ratings =
        vec![rating.clone(), v1beta::SafetyRating { category: 77, probability: 4, ..rating }];
    assert_eq!(
        reply.text().expect_err("blocked").to_string(),
        "the prompt was blocked: SAFETY (HARM_CATEGORY_HARASSMENT, category 77)"
    );
}
