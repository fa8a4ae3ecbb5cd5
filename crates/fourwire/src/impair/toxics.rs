//! Toxiproxy's toxics, as far as they make sense where there are packets.

use std::time::Duration;

use lab::live::Rules;
use lab::units::Rate;
use lab::{Impairments, Jitter};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::Change;

/// A toxic: a name, what it does, and in which direction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Toxic {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) stream: Stream,
    pub(super) toxicity: f64,
    /// As they were given: they are what is answered.
    pub(super) attributes: Value,
    #[serde(skip)]
    effect: Effect,
}

/// A direction, in Toxiproxy's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stream {
    /// Towards the target.
    Upstream,
    /// Back.
    #[default]
    Downstream,
}

/// What a client says of a toxic; what is left out has a default, or stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    pub(super) name: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) stream: Option<Stream>,
    pub(super) toxicity: Option<f64>,
    pub(super) attributes: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
enum Effect {
    /// Milliseconds.
    Latency {
        latency: u64,
        jitter: u64,
    },
    /// Kilobytes a second.
    Bandwidth {
        rate: u64,
    },
    /// Milliseconds; zero is never.
    Timeout {
        timeout: u64,
    },
    /// Milliseconds.
    ResetPeer {
        timeout: u64,
    },
    LimitData {
        bytes: u64,
    },
    /// Our own: whatever the command line can say of a direction.
    Impair(Box<Change>),
}

impl Toxic {
    /// What a client asks for.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the client.
    pub(super) fn new(said: Said) -> Result<Self, String> {
        let kind = said.kind.unwrap_or_default();
        let stream = said.stream.unwrap_or_default();
        let toxicity = said.toxicity.unwrap_or(1.0);
        if toxicity != 1.0 {
            return Err("toxicity must be 1: packets of all connections share one link".into());
        }
        let word = if stream == Stream::Upstream { "upstream" } else { "downstream" };
        let name = said.name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("{kind}_{word}"));
        let attributes = said.attributes.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        let effect = Effect::new(&kind, &attributes)?;
        Ok(Self { name, kind, stream, toxicity, attributes, effect })
    }

    /// This, with what a client wants to be different.
    ///
    /// # Errors
    ///
    /// As [`Toxic::new`].
    pub(super) fn changed(&self, said: Said) -> Result<Self, String> {
        let mut attributes = self.attributes.clone();
        match (attributes.as_object_mut(), said.attributes) {
            (Some(old), Some(Value::Object(new))) => old.extend(new),
            (_, Some(new)) => attributes = new,
            (_, None) => {}
        }
        Self::new(Said {
            name: Some(self.name.clone()),
            kind: Some(self.kind.clone()),
            stream: Some(self.stream),
            toxicity: Some(said.toxicity.unwrap_or(self.toxicity)),
            attributes: Some(attributes),
        })
    }
}

impl Effect {
    fn new(kind: &str, attributes: &Value) -> Result<Self, String> {
        let number = |key: &str| match attributes.get(key) {
            None | Some(Value::Null) => Ok(0),
            Some(value) => {
                value.as_u64().ok_or(format!("the attribute {key} must be a whole number, not {value}"))
            }
        };
        Ok(match kind {
            "latency" => Self::Latency { latency: number("latency")?, jitter: number("jitter")? },
            "bandwidth" => Self::Bandwidth { rate: number("rate")? },
            "timeout" => Self::Timeout { timeout: number("timeout")? },
            "reset_peer" => Self::ResetPeer { timeout: number("timeout")? },
            "limit_data" => Self::LimitData { bytes: number("bytes")? },
            "impair" => {
                let change = serde_json::from_value(attributes.clone()).map_err(|error| error.to_string())?;
                Self::Impair(Box::new(change))
            }
            "slicer" | "slow_close" => {
                return Err(format!(
                    "{kind} cuts and delays a stream, and here is a network under it: it makes segments of its own, and a \
                     FIN takes the link's delay. Say latency, bandwidth or impair"
                ));
            }
            _ => {
                return Err(format!(
                    "{kind:?} is no toxic here: say latency, bandwidth, timeout, reset_peer, limit_data or impair"
                ));
            }
        })
    }
}

/// What all toxics of a proxy come to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sum {
    /// Towards the target, and back.
    pub(super) impairments: [Impairments; 2],
    pub(super) cut: [bool; 2],
    pub(super) rules: Rules,
}

/// Adds `toxics` to what is there without them.
pub(super) fn sum(base: &[Impairments; 2], toxics: &[Toxic]) -> Sum {
    let mut sum = Sum { impairments: base.clone(), cut: [false; 2], rules: Rules::default() };
    for toxic in toxics {
        let direction = usize::from(toxic.stream == Stream::Downstream);
        let impairments = &mut sum.impairments[direction];
        let rules = &mut sum.rules;
        match &toxic.effect {
            Effect::Latency { latency, jitter } => {
                impairments.delay += Duration::from_millis(*latency);
                if *jitter > 0 {
                    impairments.jitter = Jitter::uniform(Duration::from_millis(*jitter));
                }
            }
            Effect::Bandwidth { rate } => match Rate::new(rate.saturating_mul(8_000)) {
                Some(rate) => {
                    let slower = impairments.rate.map_or(rate, |before| before.min(rate));
                    impairments.rate = Some(slower);
                }
                None => sum.cut[direction] = true,
            },
            Effect::Timeout { timeout } => {
                sum.cut[direction] = true;
                if *timeout > 0 {
                    rules.close_after = sooner(rules.close_after, *timeout);
                }
            }
            Effect::ResetPeer { timeout } => rules.reset_after = sooner(rules.reset_after, *timeout),
            Effect::LimitData { bytes } => {
                let limit = &mut rules.limits[direction];
                *limit = Some(limit.map_or(*bytes, |before| before.min(*bytes)));
            }
            Effect::Impair(change) => change.apply(impairments),
        }
    }
    sum
}

fn sooner(before: Option<Duration>, millis: u64) -> Option<Duration> {
    let after = Duration::from_millis(millis);
    Some(before.map_or(after, |before| before.min(after)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn toxic(said: Value) -> Result<Toxic, String> {
        Toxic::new(serde_json::from_value(said).unwrap())
    }

    #[test]
    fn toxics_become_impairments_and_rules() {
        let toxics = [
            toxic(json!({"type": "latency", "attributes": {"latency": 40, "jitter": 5}})).unwrap(),
            toxic(json!({"type": "bandwidth", "stream": "upstream", "attributes": {"rate": 125}})).unwrap(),
            toxic(json!({"type": "limit_data", "attributes": {"bytes": 1000}})).unwrap(),
            toxic(json!({"type": "timeout", "stream": "upstream", "attributes": {"timeout": 700}})).unwrap(),
            toxic(json!({"type": "impair", "attributes": {"loss": "3%"}})).unwrap(),
        ];
        assert_eq!(toxics[0].name, "latency_downstream");
        let Sum { impairments: [up, down], cut, rules } = sum(&Default::default(), &toxics);
        assert_eq!((down.delay, down.jitter.spread), (Duration::from_millis(40), Duration::from_millis(5)));
        assert_eq!(up.rate.map(Rate::bits), Some(1_000_000));
        assert_eq!((cut, rules.limits), ([true, false], [None, Some(1000)]));
        assert_eq!(rules.close_after, Some(Duration::from_millis(700)));
        assert_eq!(down.loss.to_string(), "3%");
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        for wrong in [
            json!({"type": "slicer"}),
            json!({"type": "later"}),
            json!({"type": "latency", "toxicity": 0.5}),
            json!({"type": "latency", "attributes": {"latency": "40ms"}}),
            json!({"type": "impair", "attributes": {"los": "3%"}}),
        ] {
            assert!(toxic(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let before = toxic(json!({"type": "latency", "attributes": {"latency": 40, "jitter": 5}})).unwrap();
        let said = serde_json::from_value(json!({"attributes": {"latency": 70}})).unwrap();
        assert_eq!(before.changed(said).unwrap().effect, Effect::Latency { latency: 70, jitter: 5 });
    }
}
