//! What a token lets its bearer do with documents.

use super::Access;

/// Access by document: the first rule that fits counts, and without any rule everything is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights(Vec<(String, Access)>);

impl Rights {
    /// Rules: a document's name, or the beginning of names followed by `*`, and what may be done. Who has rules, and
    /// none that fits, may do nothing.
    pub fn new(rules: impl IntoIterator<Item = (String, Access)>) -> Self {
        let mut rules: Vec<_> = rules.into_iter().collect();
        // The longest, which says most, first; a whole name before a beginning.
        rules.sort_by(|(left, _), (right, _)| {
            (left.ends_with('*'), right.len(), left).cmp(&(right.ends_with('*'), left.len(), right))
        });
        // Rules that allow nothing must be told from no rules.
        if rules.is_empty() {
            rules.push(("*".into(), Access::None));
        }
        Self(rules)
    }

    /// What may be done with that document.
    pub fn access(&self, document: &str) -> Access {
        if self.0.is_empty() {
            return Access::Write;
        }
        let fits = |rule: &str| match rule.strip_suffix('*') {
            Some(beginning) => document.starts_with(beginning),
            None => document == rule,
        };
        self.0.iter().find(|(rule, _)| fits(rule)).map_or(Access::None, |(_, access)| *access)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_most_counts() {
        assert_eq!(Rights::default().access("anything"), Access::Write);
        let rules = [("*", Access::Read), ("team/*", Access::Write), ("team/secret", Access::None)];
        let rights = Rights::new(rules.map(|(name, access)| (name.to_owned(), access)));
        assert_eq!(rights.access("public"), Access::Read);
        assert_eq!(rights.access("team/plan"), Access::Write);
        assert_eq!(rights.access("team/secret"), Access::None);
        let one = Rights::new([("notes".to_owned(), Access::Write)]);
        assert_eq!((one.access("notes"), one.access("notes2")), (Access::Write, Access::None));
        assert_eq!(Rights::new([]).access("notes"), Access::None);
    }
}
