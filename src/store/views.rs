//! `views.json`: views of runs that people saved under a name. A view is an address of the page, which says all that it shows, so
//! that nothing is lost with the file but names.

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::lease::Lock;
use super::{Store, book, format};
use crate::types::Timestamp;

const FILE: &str = "views.json";

/// Views of a store at most, and characters of a name and of an address.
const MOST: usize = 1_000;
const LONGEST_NAME: usize = 200;
const LONGEST_ADDRESS: usize = 8_000;

/// What the address of a view begins with: the table of runs, and the comparison.
const PLACES: [&str; 2] = ["/?", "/compare?"];

/// A view with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedView {
    pub name: String,
    /// As it stands after the address of the server: `/?q=…`.
    pub address: String,
    pub saved_at: Timestamp,
}

/// All views that were saved, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ViewBook {
    views: Vec<SavedView>,
}

#[derive(Serialize, Deserialize)]
struct BookFile {
    version: u32,
    views: Vec<SavedView>,
}

impl book::BookFile for BookFile {
    fn version(&self) -> u32 {
        self.version
    }
}

impl SavedView {
    /// Whether somebody may save this.
    ///
    /// # Errors
    /// What a name or an address is instead.
    pub fn check(&self) -> Result<(), String> {
        if self.name.trim().is_empty() || self.name.contains(char::is_control) {
            return Err("the name of a view is one line with a letter at least".to_owned());
        }
        if self.name.chars().count() > LONGEST_NAME {
            return Err(format!("the name of a view has at most {LONGEST_NAME} characters"));
        }
        let is_plain = self.address.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain || !PLACES.iter().any(|place| self.address.starts_with(place)) {
            return Err("a view is an address of the page: `/?…` or `/compare?…`".to_owned());
        }
        if self.address.len() > LONGEST_ADDRESS {
            return Err(format!("the address of a view has at most {LONGEST_ADDRESS} characters"));
        }
        Ok(())
    }
}

impl ViewBook {
    pub fn views(&self) -> &[SavedView] {
        &self.views
    }

    /// Saves a view; one of the same name is replaced.
    ///
    /// # Errors
    /// When it is no view, or there are too many.
    pub fn save(&mut self, view: SavedView) -> Result<(), String> {
        view.check()?;
        self.remove(&view.name);
        if self.views.len() >= MOST {
            return Err(format!("{MOST} views are saved: remove one first"));
        }
        let place = self.views.partition_point(|known| known.name < view.name);
        self.views.insert(place, view);
        Ok(())
    }

    /// Removes the view of this name, and says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let count = self.views.len();
        self.views.retain(|known| known.name != name);
        self.views.len() < count
    }
}

impl Store {
    /// The views that were saved.
    ///
    /// # Errors
    /// When the file cannot be read, is not what this program writes, or is of a newer one.
    pub fn view_book(&self) -> Result<ViewBook, StoreError> {
        let path = self.root().join(FILE);
        let Some(file) = book::read::<BookFile>(&path, format::VIEWS)? else { return Ok(ViewBook::default()) };
        // Whoever wrote the file: what is in it becomes links of a page.
        let checked = file.views.iter().try_for_each(SavedView::check);
        checked.map_err(|problem| StoreError::Unreadable { path, problem })?;
        Ok(ViewBook { views: file.views })
    }

    /// Changes the views, whoever else does so meanwhile; durable when this returns.
    ///
    /// # Errors
    /// What `change` refuses, or what keeps the file from being read or written: then nothing is changed.
    pub fn change_views<T, E: From<StoreError>>(
        &self,
        change: impl FnOnce(&mut ViewBook) -> Result<T, E>,
    ) -> Result<T, E> {
        let _locked = Lock::of_store(self.root(), FILE, "the list of views").wait()?;
        let before = self.view_book()?;
        let mut changed = before.clone();
        let result = change(&mut changed)?;
        if changed != before {
            book::write(&self.root().join(FILE), &BookFile { version: format::VIEWS, views: changed.views })?;
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, new_store};
    use super::*;

    fn view(name: &str, address: &str) -> SavedView {
        SavedView { name: name.to_owned(), address: address.to_owned(), saved_at: at(7) }
    }

    fn save(store: &Store, view: SavedView) -> Result<(), String> {
        let saved = store.change_views(|book| Ok::<_, StoreError>(book.save(view)));
        saved.map_err(|error| error.to_string())?
    }

    #[test]
    fn views_are_kept_by_name_and_the_last_of_a_name_stays() {
        let (_folder, store) = new_store();
        assert_eq!(store.view_book().unwrap(), ViewBook::default());
        for (name, address) in [("b", "/?q=x"), ("학습률", "/?group=lr"), ("a", "/compare?q=y"), ("b", "/?q=z")] {
            save(&store, view(name, address)).unwrap();
        }
        let found = store.view_book().unwrap();
        let found: Vec<_> = found.views().iter().map(|view| (view.name.as_str(), view.address.as_str())).collect();
        assert_eq!(found, [("a", "/compare?q=y"), ("b", "/?q=z"), ("학습률", "/?group=lr")]);
        let removed =
            store.change_views(|book| Ok::<_, StoreError>((book.remove("a"), book.remove("학습률"), book.remove("x"))));
        assert_eq!(removed.unwrap(), (true, true, false));
        insta::assert_snapshot!(std::fs::read_to_string(store.root().join(FILE)).unwrap(), @r#"
        {
          "version": 1,
          "views": [
            {
              "name": "b",
              "address": "/?q=z",
              "saved_at": "1970-01-01T00:00:00.007Z"
            }
          ]
        }
        "#);
    }

    #[test]
    fn what_is_no_view_is_refused() {
        let (_folder, store) = new_store();
        for (name, address) in [
            ("", "/?q"),
            (" ", "/?q"),
            ("a\nb", "/?q"),
            (&"x".repeat(LONGEST_NAME + 1), "/?q"),
            ("a", "//elsewhere"),
            ("a", "https://elsewhere/?q"),
            ("a", "javascript:alert(1)"),
            ("a", "/runs/x"),
            ("a", "/?q= x"),
            ("a", "/?q=\u{e9}"),
            ("a", &format!("/?{}", "x".repeat(LONGEST_ADDRESS))),
        ] {
            save(&store, view(name, address)).expect_err(address);
        }
        assert!(!store.root().join(FILE).exists());
        let mut full = ViewBook { views: (0..MOST).map(|number| view(&format!("{number:04}"), "/?q")).collect() };
        assert!(full.save(view("one more", "/?q")).unwrap_err().contains("remove one first"));
        full.save(view("0001", "/?q=x")).unwrap();
    }

    /// Nobody's views are lost because this program cannot read them.
    #[test]
    fn what_cannot_be_read_is_not_written_over() {
        let (_folder, store) = new_store();
        for content in [
            "{",
            "[]",
            r#"{"version": 2, "views": []}"#,
            r#"{"version": 1, "views": [{"name": "a", "address": "javascript:x", "saved_at": "1970-01-01T00:00:00.007Z"}]}"#,
        ] {
            std::fs::write(store.root().join(FILE), content).unwrap();
            let error = save(&store, view("a", "/?q")).unwrap_err();
            assert!(error.contains(FILE), "{error}");
            assert_eq!(std::fs::read_to_string(store.root().join(FILE)).unwrap(), content);
        }
    }
}
