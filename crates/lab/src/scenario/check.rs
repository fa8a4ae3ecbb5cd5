//! Whether a scenario makes sense: names that mean something, numbers that fit, programs that exist.

use std::collections::BTreeSet;

use toml::de::DeTable;

use super::build;
use super::event::{Action, Event};
use super::expectation::Expectation;
use super::format::{Kind, Scenario, VERSION};
use super::judge::Quantity;
use super::link::Duplex;
use super::moment::Moment;
use super::problem::{Problem, Step, locate, suggestion};
use super::registry::{Programs, Settings, Start};

/// Checks `scenario`, and makes its programs ready. `table` is the file that it was read from.
pub(super) fn check(
    scenario: &Scenario,
    table: Option<&DeTable<'_>>,
    programs: &Programs,
) -> Result<Vec<Start>, Vec<Problem>> {
    let mut check = Check { scenario, problems: Vec::new() };
    check.head();
    check.links();
    check.nodes();
    let starts = check.programs(table, programs);
    scenario.at.iter().enumerate().for_each(|(index, event)| check.event(index, event));
    scenario.expect.iter().enumerate().for_each(|(index, expectation)| check.expectation(index, expectation));
    // What the parts are, is right: is the whole?
    if check.problems.is_empty()
        && let Err(problem) = build::topology(scenario).and_then(|topology| build::possible(&topology))
    {
        check.problems.push(problem);
    }
    if check.problems.is_empty() { Ok(starts) } else { Err(check.problems) }
}

struct Check<'a> {
    scenario: &'a Scenario,
    problems: Vec<Problem>,
}

/// A path into the scenario.
macro_rules! path {
    ($($step:expr),*) => { [$(Step::from($step)),*] };
}

impl<'a> Check<'a> {
    fn problem(&mut self, path: impl IntoIterator<Item = Step>, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    fn head(&mut self) {
        let Scenario { lab, name, stop, .. } = self.scenario;
        if *lab != VERSION {
            self.problem(
                path!["lab"],
                format!("version {lab} of the format is not known here; write lab = {VERSION}"),
            );
        }
        if name.is_empty() {
            self.problem(path!["name"], "a scenario has a name");
        }
        if stop.as_nanos() == 0 {
            self.problem(path!["stop"], "it would end before it begins; write how long it takes, as \"30s\"");
        }
    }

    fn links(&mut self) {
        for (name, link) in &self.scenario.link {
            let path = || path!["link", name.as_str()];
            let members = build::members(self.scenario, name);
            let two = members.len() == 2;
            if !two && (link.duplex != Duplex::Full || !link.toward.is_empty() || link.person.is_some()) {
                let those = members.join(", ");
                self.problem(
                    path(),
                    format!(
                        "half, simplex, \"a>b\" and person are for links of two nodes, and on {name:?} are {those}; put a \
                         router or another link between"
                    ),
                );
            }
            if let Some(person) = link.person.as_deref().filter(|person| !members.contains(person)) {
                let hint = suggestion(person, members.iter().copied());
                self.problem(
                    path!["link", name.as_str(), "person"],
                    format!("no node {person:?} is on the link {name:?}; {hint}"),
                );
            }
            if let Some(preset) = link.preset
                && preset.up() != preset.down()
                && link.person.is_none()
            {
                self.problem(
                    path!["link", name.as_str(), "preset"],
                    format!(
                        "{preset} is not the same both ways: say at whose end the person is, as person = {:?}",
                        members.first().copied().unwrap_or("NODE")
                    ),
                );
            }
            if let Duplex::Simplex(way) = &link.duplex {
                self.way(&path!["link", name.as_str(), "duplex"], name, way);
            }
            if let Some(subnet) = &link.subnet
                && let Err(error) = build::subnet(subnet)
            {
                self.problem(path!["link", name.as_str(), "subnet"], error);
            }
            if link.mtu.is_some_and(|mtu| !(576..=u64::from(u16::MAX)).contains(&mtu.as_bytes())) {
                self.problem(
                    path!["link", name.as_str(), "mtu"],
                    "an MTU lies between 576B, the shortest that IPv4 promises (RFC 1122), and 65535B",
                );
            }
            if !self.scenario.node.values().any(|node| node.on.contains(name)) {
                self.problem(
                    path(),
                    format!("no node is on the link {name:?}; put one on it, or leave it out"),
                );
            }
            for way in link.toward.keys() {
                self.way(&path!["link", name.as_str(), way.as_str()], name, way);
            }
        }
    }

    /// Whether `way` is a direction of `link`.
    fn way(&mut self, path: &[Step], link: &str, way: &str) {
        let ends = build::ends(way);
        let Some((from, to)) = ends else {
            return self.problem(
                path.iter().cloned(),
                format!("{way:?} is no direction; write \"a>b\" with the names of two nodes on the link"),
            );
        };
        let on_link: Vec<&str> = self
            .scenario
            .node
            .iter()
            .filter(|(_, node)| node.on.iter().any(|on| on == link))
            .map(|(name, _)| name.as_str())
            .collect();
        for end in [from, to] {
            if !on_link.contains(&end) {
                let hint = suggestion(end, on_link.iter().copied());
                self.problem(
                    path.iter().cloned(),
                    format!("no node {end:?} is on the link {link:?}; {hint}"),
                );
            }
        }
    }

    fn nodes(&mut self) {
        let links = || self.scenario.link.keys().map(String::as_str);
        let mut names: BTreeSet<&str> = self.scenario.node.keys().map(String::as_str).collect();
        for (name, node) in &self.scenario.node {
            if name.contains('>') || name.is_empty() {
                self.problem(path!["node", name.as_str()], "a node's name is not empty and has no '>' in it");
            }
            let mut seen = BTreeSet::new();
            for (index, link) in node.on.iter().enumerate() {
                let path = path!["node", name.as_str(), "on", index];
                if !self.scenario.link.contains_key(link) {
                    let hint = suggestion(link, links());
                    self.problem(path, format!("there is no link {link:?}; {hint}"));
                } else if !seen.insert(link) {
                    self.problem(
                        path,
                        format!("{name} is on {link:?} twice; parallel links need a name each"),
                    );
                }
            }
            let (least, why) = match node.kind {
                Kind::Host => (1, "a host is on one link at least"),
                Kind::Router => (2, "a router is on two links at least"),
                Kind::Nat => (2, "a NAT is on two links at least; the last is its outside"),
            };
            if node.on.len() < least {
                self.problem(path!["node", name.as_str(), "on"], why);
            }
            for (index, other) in node.names.iter().enumerate() {
                if !names.insert(other) {
                    self.problem(
                        path!["node", name.as_str(), "names", index],
                        format!("{other:?} is the name of a node already"),
                    );
                }
            }
        }
    }

    fn programs(&mut self, table: Option<&DeTable<'_>>, programs: &Programs) -> Vec<Start> {
        let mut starts = Vec::new();
        let mut names = BTreeSet::new();
        for (index, program) in self.scenario.program.iter().enumerate() {
            self.node(&path!["program", index, "on"], &program.on, Some(Kind::Host));
            if !names.insert(program.called()) {
                self.problem(
                    path!["program", index],
                    format!(
                        "two programs are called {:?}; give one a name of its own: name = \"…\"",
                        program.called()
                    ),
                );
            }
            if program.start >= self.scenario.stop {
                self.problem(
                    path!["program", index, "start"],
                    "it would start when all is over; start before `stop`",
                );
            }
            let path = path!["program", index, program.run.as_str()];
            let place = table.and_then(|table| find(table, index, &program.run));
            let settings = match place {
                Some(value) => Settings::File(value.clone()),
                None => Settings::Value(program.settings.clone()),
            };
            match programs.prepare(&program.run, settings) {
                Some(Ok(start)) => starts.push(start),
                Some(Err((message, span))) => {
                    self.problems.push(Problem { span, ..Problem::new(path, message) });
                }
                None => {
                    let hint = suggestion(&program.run, programs.names());
                    self.problem(path, format!("there is no program {:?}; {hint}", program.run));
                }
            }
        }
        starts
    }

    /// Whether `name` is a node, of this kind where one is wanted.
    fn node(&mut self, path: &[Step], name: &str, kind: Option<Kind>) {
        let Some(node) = self.scenario.node.get(name) else {
            let of_kind = |node: &super::format::Node| kind.is_none_or(|kind| node.kind == kind);
            let known = self.scenario.node.iter().filter(|(_, node)| of_kind(node));
            let hint = suggestion(name, known.map(|(name, _)| name.as_str()));
            return self.problem(path.iter().cloned(), format!("there is no node {name:?}; {hint}"));
        };
        if let Some(kind) = kind.filter(|kind| node.kind != *kind) {
            let (is, wanted) = (node.kind.noun(), kind.noun());
            self.problem(path.iter().cloned(), format!("{name} is {is}, and it takes {wanted}"));
        }
    }

    fn link(&mut self, path: &[Step], name: &str) -> bool {
        let known = self.scenario.link.contains_key(name);
        if !known {
            let hint = suggestion(name, self.scenario.link.keys().map(String::as_str));
            self.problem(path.iter().cloned(), format!("there is no link {name:?}; {hint}"));
        }
        known
    }

    fn event(&mut self, index: usize, event: &Event) {
        let kind = event.action.kind();
        let path = |key: &str| path!["at", index, kind, key];
        if event.t >= self.scenario.stop {
            self.problem(
                path!["at", index, "t"],
                format!("it would come when all is over, at {}", self.scenario.stop),
            );
        }
        let (link, way) = match &event.action {
            Action::Cut(on) | Action::Heal(on) => (Some(&on.link), &on.way),
            Action::BlackHole(hole) => {
                if !(68..=u64::from(u16::MAX)).contains(&hole.mtu.as_bytes()) {
                    self.problem(path("mtu"), "an MTU lies between 68B and 65535B");
                }
                (Some(&hole.link), &None)
            }
            Action::Silence(silence) => (Some(&silence.link), &None),
            Action::Set(set) => {
                let half = self.scenario.link.get(&set.link).is_some_and(|link| link.duplex == Duplex::Half);
                if half {
                    self.problem(path("link"), "what a half-duplex link does cannot change while it runs");
                }
                if set.way.is_some() && build::members(self.scenario, &set.link).len() != 2 {
                    self.problem(path("way"), "one direction alone can change on links of two nodes");
                }
                (Some(&set.link), &set.way)
            }
            Action::Rebind(on) => {
                self.node(&path("node"), &on.node, Some(Kind::Nat));
                (None, &None)
            }
            Action::Crash(on) | Action::Restart(on) => {
                self.node(&path("node"), &on.node, None);
                (None, &None)
            }
            Action::Skew(skew) => {
                self.node(&path("node"), &skew.node, None);
                if skew.ahead.is_some() && skew.back.is_some() {
                    self.problem(path("back"), "a clock jumps ahead or back, not both");
                }
                (None, &None)
            }
        };
        if let Some(link) = link
            && self.link(&path("link"), link)
            && let Some(way) = way
        {
            self.way(&path("way"), link, way);
        }
    }

    fn expectation(&mut self, index: usize, expectation: &Expectation) {
        let kind = expectation.kind();
        let path = |key: &str| path!["expect", index, kind, key];
        match expectation {
            Expectation::Delivered(delivered) => {
                for (key, names) in [("from", &delivered.from), ("to", &delivered.to)] {
                    names.all().iter().for_each(|name| self.program(&path(key), name));
                    if names.all().is_empty() {
                        self.problem(path(key), "name a program at least");
                    }
                }
                self.moment(&path("by"), delivered.by.as_ref());
            }
            Expectation::Noticed(noticed) => {
                self.program(&path("on"), &noticed.on);
                self.moment(&path("after"), noticed.after.as_ref());
            }
            Expectation::Unnoticed(unnoticed) => {
                self.program(&path("on"), &unnoticed.on);
                self.moment(&path("after"), unnoticed.after.as_ref());
            }
            Expectation::Bound(bound) => {
                self.program(&path("on"), &bound.on);
                for (key, text) in [("least", &bound.least), ("most", &bound.most)] {
                    if let Some(Err(error)) = text.as_ref().map(|text| Quantity::read(&bound.of, text)) {
                        self.problem(path(key), error);
                    }
                }
                if bound.least.is_none() && bound.most.is_none() {
                    self.problem(path("of"), "within which bounds? Say most = \"…\", least = \"…\", or both");
                }
            }
            Expectation::Less(less) => {
                self.program(&path("on"), &less.on);
                self.program(&path("than"), &less.than);
                if less.times == 0 {
                    self.problem(path("times"), "nothing is less than nothing; 1 is the least");
                }
            }
            Expectation::Queue(queue) => {
                self.link(&path("link"), &queue.link);
            }
            Expectation::NoSocketLeft(none) => {
                for name in &none.on {
                    self.node(&path("on"), name, Some(Kind::Host));
                }
            }
        }
    }

    fn program(&mut self, path: &[Step], name: &str) {
        let known = || self.scenario.program.iter().map(|program| program.called());
        if !known().any(|known| known == name) {
            let hint = suggestion(name, known());
            self.problem(path.iter().cloned(), format!("no program is called {name:?}; {hint}"));
        }
    }

    fn moment(&mut self, path: &[Step], moment: Option<&Moment>) {
        let Some(Moment::After { event, .. }) = moment else { return };
        let known = || self.scenario.at.iter().map(Event::called);
        if !known().any(|known| known == event) {
            let hint = suggestion(event, known());
            self.problem(path.iter().cloned(), format!("no event is called {event:?}; {hint}"));
        }
    }
}

/// A program's own table in the file.
fn find<'t, 'i>(
    table: &'t DeTable<'i>,
    index: usize,
    run: &str,
) -> Option<&'t toml::Spanned<toml::de::DeValue<'i>>> {
    table.get("program")?.get_ref().as_array()?.get(index)?.get_ref().as_table()?.get(run)
}

/// Where a problem is in the text of the file.
pub(super) fn place(problem: &Problem, table: &DeTable<'_>) -> Option<usize> {
    problem.span.clone().or_else(|| locate(table, &problem.path)).map(|span| span.start)
}
