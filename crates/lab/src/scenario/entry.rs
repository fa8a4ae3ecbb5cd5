//! Tables that hold one thing under its own name, beside keys that all of them have.

use std::fmt::{self, Formatter};

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::format::{Program, Routing};
use super::text::Read;
use crate::units::Delay;

impl<'de> Deserialize<'de> for Program {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Programs;

        impl<'de> Visitor<'de> for Programs {
            type Value = Program;

            fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
                formatter.write_str("a program, such as { on = \"alice\", chat = { room = \"lobby\" } }")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Program, A::Error> {
                let (mut on, mut name, mut start, mut run) = (None, None, Delay::default(), None);
                while let Some(key) = map.next_key::<String>()? {
                    match &*key {
                        "on" => on = Some(map.next_value()?),
                        "name" => name = Some(map.next_value()?),
                        "start" => start = map.next_value::<Read<Delay>>()?.0,
                        _ => {
                            let settings = map.next_value::<toml::Table>().map_err(|_| {
                                de::Error::custom(format!(
                                    "the settings of the program `{key}` are a table: {key} = {{ }}"
                                ))
                            })?;
                            if let Some((other, _)) = run.replace((key.clone(), settings)) {
                                return Err(de::Error::custom(format!(
                                    "`{other}` and `{key}` are two programs; write [[program]] for each"
                                )));
                            }
                        }
                    }
                }
                let on = on.ok_or_else(|| de::Error::custom("on which node? Say on = \"NODE\""))?;
                let (run, settings) = run.ok_or_else(|| {
                    de::Error::custom(
                        "which program? Name it, with its settings: chat = { room = \"lobby\" }",
                    )
                })?;
                Ok(Program { on, name, start, run, settings })
            }
        }

        deserializer.deserialize_map(Programs)
    }
}

impl Serialize for Program {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { on, name, start, run, settings } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("on", on)?;
        if let Some(name) = name {
            map.serialize_entry("name", name)?;
        }
        if *start != Delay::default() {
            map.serialize_entry("start", &start.to_string())?;
        }
        map.serialize_entry(run, settings)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Routing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match &*String::deserialize(deserializer)? {
            "static" => Ok(Self::Static),
            later @ ("ospf" | "rip") => Err(de::Error::custom(format!(
                "routing = {later:?} comes in a later version; until then routes are static, by the fewest hops: \
                 leave it out"
            ))),
            other => Err(de::Error::custom(format!("{other:?} is no way of routing; there is \"static\""))),
        }
    }
}

impl Serialize for Routing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Static => serializer.serialize_str("static"),
        }
    }
}
