//! The programs that a scenario may run. They are registered from above: the lab knows none of them.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::context::Context;
use crate::topology::NodeHost;

/// What a program ends with: nothing, or why it could not go on.
pub type Ended = Result<(), String>;

/// A program with its settings, ready to run; it may run again after a crash of its machine.
pub(super) type Start =
    Arc<dyn Fn(Context<NodeHost>) -> Pin<Box<dyn Future<Output = Ended> + Send>> + Send + Sync>;

/// Makes a program ready with its settings.
type Prepare = dyn Fn(Settings<'_>) -> Result<Start, Unsettled> + Send + Sync;

/// Why settings were refused, and where.
type Unsettled = (String, Option<Range<usize>>);

/// Programs by name.
#[derive(Clone, Default)]
pub struct Programs(BTreeMap<&'static str, Registered>);

#[derive(Clone)]
struct Registered {
    about: &'static str,
    prepare: Arc<Prepare>,
}

impl Programs {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers `program` as `name`. Its settings are the table that stands in the file under that name: what they are
    /// is what `S` reads.
    ///
    /// # Panics
    ///
    /// When the name is taken, or is a key that every program has (`on`, `name`, `start`).
    #[must_use]
    pub fn with<S, F>(
        mut self,
        name: &'static str,
        about: &'static str,
        program: impl Fn(Context<NodeHost>, S) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        S: DeserializeOwned + Clone + Send + Sync + 'static,
        F: Future<Output = Ended> + Send + 'static,
    {
        assert!(!["on", "name", "start"].contains(&name), "no program can be called {name}");
        let prepare = move |settings: Settings<'_>| {
            let settings: S = settings.read()?;
            let program = program.clone();
            let start: Start = Arc::new(move |context| Box::pin(program(context, settings.clone())));
            Ok(start)
        };
        let before = self.0.insert(name, Registered { about, prepare: Arc::new(prepare) });
        assert!(before.is_none(), "there is a program {name} already");
        self
    }

    /// The programs' names, and what each does.
    pub fn list(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        self.0.iter().map(|(name, registered)| (*name, registered.about))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.keys().copied()
    }

    /// The program called `name` with `settings`; `None` when there is none of that name.
    pub(super) fn prepare(&self, name: &str, settings: Settings<'_>) -> Option<Result<Start, Unsettled>> {
        self.0.get(name).map(|registered| (registered.prepare)(settings))
    }
}

/// A program's own table: from a file, with the places of its parts, or from a value.
pub(super) enum Settings<'a> {
    File(Spanned<DeValue<'a>>),
    Value(toml::Table),
}

impl Settings<'_> {
    fn read<S: DeserializeOwned>(self) -> Result<S, Unsettled> {
        match self {
            Self::File(value) => S::deserialize(ValueDeserializer::from(value)),
            Self::Value(table) => S::deserialize(table),
        }
        .map_err(|error| (error.message().to_owned(), error.span()))
    }
}
