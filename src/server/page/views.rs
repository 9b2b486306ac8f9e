//! Views that people saved under a name: the addresses of tables of runs and of comparisons.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::{problem, typed};
use crate::clock;
use crate::server::App;
use crate::server::fault::Fault;
use crate::server::http::{Reply, Request};
use crate::server::wire;
use crate::store::SavedView;

/// A view to be saved, or to be removed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    name: String,
    address: Option<String>,
    #[serde(default)]
    remove: bool,
}

/// All views.
pub fn list(app: &App, _: Request) -> Result<Reply, Fault> {
    Ok(Reply::json(&json!({ "views": app.store().view_book()?.views() })))
}

/// Saves or removes one.
pub fn change(app: &App, request: Request) -> Result<Reply, Fault> {
    let Change { name, address, remove } = wire::read(&request)?;
    let view = match (address, remove) {
        (Some(address), false) => Some(SavedView { name: name.clone(), address, saved_at: clock::now() }),
        (None, true) => None,
        _ => return Err(Fault::invalid("a view is saved with its 'address', or removed with 'remove': true")),
    };
    app.store().change_views(|book| match view {
        Some(view) => book.save(view).map_err(Fault::invalid),
        None if book.remove(&name) => Ok(()),
        None => Err(Fault::missing("no view has this name")),
    })?;
    Ok(Reply::empty())
}

/// The views as links, with what the script needs to save and to remove some.
pub fn links(app: &App) -> Markup {
    let book = app.store().view_book();
    html! {
        div.views id="views" data-live {
            @match &book {
                Err(error) => (problem(&error.to_string())),
                Ok(book) => {
                    @if !book.views().is_empty() {
                        details {
                            summary { "Saved views (" (book.views().len()) ")" }
                            ul.names {
                                @for view in book.views() {
                                    li {
                                        a href={ (app.root_path) (view.address) } { (typed(&view.name)) } " "
                                        button.away type="button" hidden data-remove-view=(view.name)
                                            aria-label={ "Remove the view " (view.name) } { "\u{d7}" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            (save())
        }
    }
}

/// The button by which the view that is open is saved.
pub fn save() -> Markup {
    html! { button type="button" hidden data-save-view { "Save this view" } }
}
