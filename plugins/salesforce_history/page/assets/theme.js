// Light or dark, as Airflow is. Not a module: it runs before the first paint, or a dark page would flash white.
(() => {
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  // Airflow's own variables, where the page is inside Airflow: a deployment may have colours of its own (AIRFLOW__API__THEME).
  const borrowed = {
    "--bg": "--chakra-colors-bg",
    "--bg-subtle": "--chakra-colors-bg-subtle",
    "--bg-muted": "--chakra-colors-bg-muted",
    "--fg": "--chakra-colors-fg",
    "--fg-muted": "--chakra-colors-fg-muted",
    "--border": "--chakra-colors-border",
    "--border-emphasized": "--chakra-colors-border-emphasized",
    "--brand-solid": "--chakra-colors-brand-solid",
    "--brand-contrast": "--chakra-colors-brand-contrast",
    "--brand-fg": "--chakra-colors-brand-fg",
    "--brand-subtle": "--chakra-colors-brand-subtle",
    "--brand-muted": "--chakra-colors-brand-muted",
    "--font-body": "--chakra-fonts-body",
    "--font-mono": "--chakra-fonts-mono",
  };

  function airflow() {
    try {
      return window.parent === window ? null : window.parent.document.documentElement;
    } catch {
      return null; // framed by a page of another origin
    }
  }

  function isDark() {
    const outer = airflow();
    if (outer?.classList.contains("dark")) return true;
    if (outer?.classList.contains("light")) return false;
    let chosen = null;
    try {
      chosen = window.localStorage.getItem("theme");
    } catch {
      // storage is switched off: the system decides
    }
    return chosen === "dark" || (chosen !== "light" && system.matches);
  }

  function borrow(outer) {
    const theirs = window.parent.getComputedStyle(outer);
    for (const [ours, name] of Object.entries(borrowed)) {
      const value = theirs.getPropertyValue(name).trim();
      if (value) root.style.setProperty(ours, value);
    }
  }

  function follow() {
    const dark = isDark();
    root.classList.toggle("dark", dark);
    root.classList.toggle("light", !dark);
    root.style.colorScheme = dark ? "dark" : "light";
    const outer = airflow();
    if (outer) borrow(outer);
    window.dispatchEvent(new Event("themechange"));
  }

  follow();
  system.addEventListener("change", follow);
  window.addEventListener("storage", (event) => event.key === "theme" && follow());
  const outer = airflow();
  if (outer) new MutationObserver(follow).observe(outer, { attributes: true, attributeFilter: ["class", "data-theme"] });
})();
