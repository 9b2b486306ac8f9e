// The script of the page: each part finds what it needs in the document or does nothing.
import "./theme.js";
import "./words.js";
import "./choice.js";
import "./columns.js";
import "./labels.js";
import "./execution.js";
import "./curves.js";
import "./live.js";
import "./views.js";
import { root } from "./document.js";

// MLflow's clients print addresses of its own page: the run is here.
const run = /^#\/experiments\/\d+\/runs\/(\w+)/.exec(location.hash);
if (run) location.replace(`${root}/runs/${run[1]}`);
