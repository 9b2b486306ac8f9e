//! Whose a mark is, in the words of the sweep: the run, or what the runs behind a mean have in common.

use super::encoding::Group;
use crate::analysis::{Cell, CellKey, RunData};
use crate::plot::figure::Owner;

impl Owner {
    /// A run; its settings where it has no id yet.
    pub(super) fn run(run: &RunData) -> Self {
        run.id.as_ref().map_or_else(|| Self::Settings(run.axes.clone()), |id| Self::Run(id.to_string()))
    }

    /// A mean over the runs of a cell.
    pub(super) fn cell(key: &CellKey) -> Self {
        Self::Settings(key.0.clone())
    }

    /// A mean over cells: the settings that all of them have.
    pub(super) fn cells<'a>(cells: impl IntoIterator<Item = &'a Cell<'a>>) -> Self {
        let mut cells = cells.into_iter();
        let mut shared = cells.next().map_or_else(Vec::new, |cell| cell.key.0.clone());
        for cell in cells {
            shared.retain(|(axis, value)| cell.key.value(axis) == Some(value));
        }
        Self::Settings(shared)
    }
}

impl Group<'_> {
    /// The owner of what is drawn of the whole group.
    pub(super) fn owner(&self) -> Owner {
        Owner::cells(self.cells.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn cells_have_in_common_what_all_of_them_have() {
        let comparison = fixture::sweep();
        let cells = comparison.cells();
        let shared = |wanted: fn(&&Cell<'_>) -> bool| match Owner::cells(cells.iter().filter(wanted)) {
            Owner::Settings(settings) => {
                settings.into_iter().map(|(axis, value)| format!("{axis}={value}")).collect::<Vec<_>>()
            }
            Owner::Run(_) => panic!("cells are no run"),
        };
        assert_eq!(shared(|cell| cell.key.value("size") == Some("tiny")), ["size=tiny"]);
        assert_eq!(shared(|_| true), [""; 0]);
        assert_eq!(Owner::cells([&cells[3]]), Owner::cell(&cells[3].key));
        let run = &comparison.runs[0];
        assert_eq!(Owner::run(run), Owner::Run(run.id.as_ref().unwrap().to_string()));
    }
}
