//! Each range, its borders, and what no range holds.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where its setting is not as expected"
)]

use super::*;
use crate::v1;
use crate::v1beta::{self, GenerationConfig};

const FLASH: &str = "models/gemini-2.5-flash";

fn model() -> v1beta::Model {
    v1beta::Model {
        name: FLASH.into(),
        max_temperature: Some(2.0),
        input_token_limit: 1000,
        output_token_limit: 100,
        supported_generation_methods: vec!["generateContent".into()],
        ..v1beta::Model::default()
    }
}

fn found(name: &str, config: GenerationConfig, limits: &Limits) -> Vec<String> {
    let request = v1beta::GenerateContentRequest {
        model: name.into(),
        generation_config: Some(config),
        ..Default::default()
    };
    check(&request, limits).iter().map(ToString::to_string).collect()
}

#[test]
fn numbers_outside_their_documented_range_are_named() {
    let count = |count| GenerationConfig { candidate_count: Some(count), ..Default::default() };
    let heat = |value| GenerationConfig { temperature: Some(value), ..Default::default() };
    let top = |value| GenerationConfig { top_p: Some(value), ..Default::default() };
    let output =
        |tokens| GenerationConfig { max_output_tokens: Some(tokens), ..Default::default() };
    let cases = vec![
        (GenerationConfig::default(), None),
        (count(1), None),
        (count(8), None),
        (count(0), Some("`generation_config.candidate_count` is 0, not 1 to 8")),
        (count(9), Some("`generation_config.candidate_count` is 9, not 1 to 8")),
        (count(i32::MIN), Some("`generation_config.candidate_count` is -2147483648, not 1 to 8")),
        (heat(0.0), None),
        (heat(-0.0), None),
        (heat(1.0), None),
        (heat(1.1), Some("`generation_config.temperature` is 1.1, not 0 to 1")),
        (heat(-0.1), Some("`generation_config.temperature` is -0.1, not 0 to 1")),
        (heat(f32::NAN), Some("`generation_config.temperature` is NaN, not 0 to 1")),
        (heat(f32::INFINITY), Some("`generation_config.temperature` is inf, not 0 to 1")),
        (top(0.5), None),
        (top(1.5), Some("`generation_config.top_p` is 1.5, not 0 to 1")),
        (top(f32::NEG_INFINITY), Some("`generation_config.top_p` is -inf, not 0 to 1")),
        (output(i32::MAX), None),
        (output(0), Some("`generation_config.max_output_tokens` is 0, not 1 or more")),
    ];
    for (config, expected) in cases {
        let found = found(FLASH, config.clone(), &Limits::documented());
        assert_eq!(found.first().map(String::as_str), expected, "{config:?}");
        assert!(found.len() < 2, "{found:?}");
    }
}

#[test]
fn how_much_a_model_thinks_is_a_level_or_a_budget() {
    use v1beta::{ThinkingConfig, thinking_config::ThinkingLevel};
    let config = |thinking_level, thinking_budget| GenerationConfig {
        thinking_config: Some(ThinkingConfig {
            thinking_level,
            thinking_budget,
            ..Default::default()
        }),
        ..Default::default()
    };
    let high = ThinkingLevel::High.into();
    for (level, budget, expected) in [
        (0, None, None),
        (high, None, None),
        (0, Some(-1), None),
        (0, Some(0), None),
        (9_999, None, None),
        (
            9_999,
            Some(0),
            Some("thinking_level` is set beside `thinking_budget`, which it replaces"),
        ),
        (-1, None, Some("thinking_level` is -1, which is no value of an enum of the API")),
        (high, Some(0), Some("thinking_level` is set beside `thinking_budget`, which it replaces")),
        (0, Some(-2), Some("thinking_budget` is -2, not -1 (the model decides) or more")),
    ] {
        let found = found(FLASH, config(level, budget), &Limits::documented());
        let expected = expected.map(|what| format!("`generation_config.thinking_config.{what}"));
        assert_eq!(found.first(), expected.as_ref(), "{level} {budget:?}");
    }
}

#[test]
fn a_tier_that_is_newer_than_the_crate_is_no_fault() {
    for (service_tier, expected) in [
        (v1beta::ServiceTier::Flex.into(), None),
        (9, None),
        (-9, Some("`service_tier` is -9, which is no value of an enum of the API")),
    ] {
        let latest = v1beta::GenerateContentRequest {
            model: FLASH.into(),
            service_tier,
            ..Default::default()
        };
        let stable =
            v1::GenerateContentRequest { model: FLASH.into(), service_tier, ..Default::default() };
        let limits = Limits::documented();
        for found in [check(&latest, &limits), check(&stable, &limits)] {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.first().map(String::as_str), expected);
        }
    }
}

#[test]
fn a_models_own_limits_take_the_place_of_the_documented_ones() {
    let limits = Limits::from(&model());
    let config = |temperature, max_output_tokens| GenerationConfig {
        temperature: Some(temperature),
        max_output_tokens: Some(max_output_tokens),
        ..Default::default()
    };
    assert!(found(FLASH, config(2.0, 100), &limits.clone().prompt_tokens(1000)).is_empty());
    assert_eq!(
        found(FLASH, config(2.1, 101), &limits.prompt_tokens(1001)),
        [
            "`generation_config.max_output_tokens` is 101; the model writes at most 100",
            "`generation_config.temperature` is 2.1, not 0 to 2",
            "`contents` are 1001 tokens long; the model reads at most 1000",
        ]
    );
}

#[test]
fn a_model_that_does_not_write_is_named_with_what_it_does() {
    let embedder = v1beta::Model {
        supported_generation_methods: vec!["embedContent".into(), "countTokens".into()],
        ..model()
    };
    let found =
        |name: &str, model: &v1beta::Model| found(name, GenerationConfig::default(), &model.into());
    assert_eq!(
        found(FLASH, &embedder),
        ["`model` is `models/gemini-2.5-flash`, which supports embedContent, countTokens only"]
    );
    assert!(found("models/another", &model())[0].contains("limits are those of"));
}

#[test]
fn absurd_models_are_named_without_repeating_all_of_them() {
    let long = format!("models/{}/x", "a".repeat(100_000));
    for name in ["", "gemini", "models/", "models/a/b", "/", "\u{0}\n", "corpora/a", &long] {
        let found = found(name, GenerationConfig::default(), &Limits::documented());
        assert!(found.len() == 1 && found[0].starts_with("`model` is "), "{found:?}");
        assert!(found[0].len() < 200 && !found[0].contains('\n'));
    }
    for name in ["models/\u{e9}", "tunedModels/a", "dynamic/a"] {
        assert!(found(name, GenerationConfig::default(), &Limits::documented()).is_empty());
    }
}

#[test]
fn v1_is_checked_as_v1beta_is() {
    let config = v1::GenerationConfig { temperature: Some(9.0), ..Default::default() };
    let request = v1::GenerateContentRequest {
        model: FLASH.into(),
        generation_config: Some(config),
        ..Default::default()
    };
    assert_eq!(check(&request, &Limits::documented()).len(), 1);
    let model = v1::Model { name: FLASH.into(), max_temperature: Some(9.0), ..Default::default() };
    assert!(check(&request, &Limits::from(&model)).is_empty());
}
