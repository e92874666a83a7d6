//! Counts which proxy apps could not connect to which tick apps, for each check of a
//! scaling test. The number of cells is limited, regardless of the number of apps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use crate::events::{Check, TriedConnection};

/// The maximum number of rows, and of columns.
const MAX_LINES: usize = 60;

/// The connections of all checks so far.
#[derive(Default)]
pub(super) struct HeatMaps {
    /// In the order of the checks.
    checks: Vec<(Arc<Check>, Pairs)>,
}

/// The numbers of connections by proxy app and tick app.
type Pairs = BTreeMap<(Name, Name), ConnectionCount>;

/// A name that sorts by the number at its end.
type Name = (usize, String);

#[derive(Default, Clone, Copy)]
struct ConnectionCount {
    tried: u64,
    failed: u64,
}

/// A check in the form that the page shows.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct HeatMap {
    context: String,
    phase: String,
    tried: u64,
    failed: u64,
    /// The proxy apps, one or several per row.
    rows: Vec<String>,
    /// The tick apps, one or several per column.
    columns: Vec<String>,
    /// Row, column, and the numbers of tried and failed connections.
    cells: Vec<(usize, usize, u64, u64)>,
}

impl HeatMaps {
    pub(super) fn add(&mut self, tried: &TriedConnection) {
        let known = self.checks.iter().position(|(it, _)| *it == tried.check);
        let at = known.unwrap_or_else(|| {
            self.checks
                .push((Arc::clone(&tried.check), BTreeMap::new()));
            self.checks.len() - 1
        });
        let Some((_, counted)) = self.checks.get_mut(at) else {
            return;
        };
        let name = |name: &String| (name.len(), name.clone());
        let key = (name(&tried.proxy), name(&tried.tick));
        let counted = counted.entry(key).or_default();
        counted.tried += 1;
        counted.failed += u64::from(tried.failure.is_some());
    }

    pub(super) fn shown(&self) -> Vec<HeatMap> {
        let checks = self.checks.iter();
        checks
            .map(|(check, counted)| heat_map(check, counted))
            .collect()
    }
}

fn heat_map(check: &Check, counted: &Pairs) -> HeatMap {
    let proxies: BTreeSet<&Name> = counted.keys().map(|(proxy, _)| proxy).collect();
    let ticks: BTreeSet<&Name> = counted.keys().map(|(_, tick)| tick).collect();
    let (rows, row_of) = lines(&proxies);
    let (columns, column_of) = lines(&ticks);
    let mut cells: BTreeMap<(usize, usize), ConnectionCount> = BTreeMap::new();
    let mut sum = ConnectionCount::default();
    for ((proxy, tick), counted) in counted {
        let place = (row_of.get(proxy), column_of.get(tick));
        let (Some(row), Some(column)) = place else {
            continue;
        };
        for it in [cells.entry((*row, *column)).or_default(), &mut sum] {
            it.tried += counted.tried;
            it.failed += counted.failed;
        }
    }
    HeatMap {
        context: check.context.clone(),
        phase: check.phase.clone(),
        tried: sum.tried,
        failed: sum.failed,
        rows,
        columns,
        cells: cells
            .into_iter()
            .map(|((row, column), it)| (row, column, it.tried, it.failed))
            .collect(),
    }
}

/// Names as lines of a map, several per line if there are many, and the line of each
/// name.
fn lines<'a>(names: &BTreeSet<&'a Name>) -> (Vec<String>, BTreeMap<&'a Name, usize>) {
    let names: Vec<&Name> = names.iter().copied().collect();
    let size = names.len().div_ceil(MAX_LINES).max(1);
    let labels = names.chunks(size).map(|some| match some {
        [(_, only)] => only.clone(),
        [(_, first), .., (_, last)] => format!("{first} to {last}"),
        [] => String::new(),
    });
    let labels = labels.collect();
    let numbered = names.into_iter().enumerate();
    (
        labels,
        numbered.map(|(at, name)| (name, at / size)).collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn connection(check: &Arc<Check>, proxy: usize, tick: usize, failed: bool) -> TriedConnection {
        TriedConnection {
            check: Arc::clone(check),
            proxy: format!("proxy-{proxy}"),
            tick: format!("tick-{tick}"),
            address: "10.255.0.1:8080".to_owned(),
            began: Instant::now(),
            took: Duration::from_millis(1),
            tries: 1,
            failure: failed.then(|| "no".to_owned()),
        }
    }

    #[test]
    fn each_pair_of_apps_is_a_cell() {
        let check = Check::new("one-client", "with-policies");
        let mut maps = HeatMaps::default();
        for (tick, failed) in [(10, false), (9, true), (10, true)] {
            maps.add(&connection(&check, 0, tick, failed));
        }
        let shown = maps.shown();
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].tried, shown[0].failed), (3, 2));
        assert_eq!(
            shown[0].columns,
            ["tick-9", "tick-10"],
            "in order of numbers"
        );
        assert_eq!(shown[0].cells, [(0, 0, 1, 1), (0, 1, 2, 1)]);
    }

    #[test]
    fn many_apps_share_cells() {
        let check = Check::new("one-server", "with-policies");
        let mut maps = HeatMaps::default();
        for proxy in 0..10_000 {
            maps.add(&connection(&check, proxy, 0, proxy == 5));
        }
        let shown = maps.shown();
        assert!(shown[0].rows.len() <= MAX_LINES);
        assert_eq!(shown[0].rows[0], "proxy-0 to proxy-166");
        assert_eq!(shown[0].cells[0], (0, 0, 167, 1));
        assert_eq!((shown[0].tried, shown[0].failed), (10_000, 1));
    }
}
