// The theme: the system's unless it was chosen.
import { one, tell } from "./document.js";

const button = one("button.theme"), system = matchMedia("(prefers-color-scheme: dark)");
const chosen = () => localStorage.getItem("theme") || (system.matches ? "dark" : "light");
export const isDark = () => chosen() === "dark";

const dress = () => {
  document.documentElement.dataset.theme = chosen();
  button.textContent = isDark() ? "Light" : "Dark";
  tell("theme");
};
button.hidden = false;
button.onclick = () => { localStorage.setItem("theme", isDark() ? "light" : "dark"); dress(); };
system.onchange = dress;
dress();
