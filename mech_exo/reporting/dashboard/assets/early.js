// Before anything is drawn: light or dark, as chosen here before or as the system has it; and back to the login when a session has ended.
(function () {
  "use strict";
  const NAME = "mechexo-theme";
  const root = document.documentElement;
  const kept = () => {
    try { return localStorage.getItem(NAME); } catch { return null; }
  };
  const wear = (theme) => {
    root.dataset.mantineColorScheme = theme;
    root.dataset.agThemeMode = theme;
    document.cookie = `${NAME}=${theme}; Path=/; Max-Age=31536000; SameSite=Strict`; // the server colours the charts
  };
  const system = () => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const chosen = kept();
  window.exoTheme = chosen === "light" || chosen === "dark" ? chosen : system();
  wear(window.exoTheme);
  window.exoWear = (theme) => {
    window.exoTheme = theme;
    try { localStorage.setItem(NAME, theme); } catch { /* private mode: the cookie has it */ }
    wear(theme);
  };
  const asked = window.fetch;
  window.fetch = async (...wanted) => {
    const answer = await asked(...wanted);
    if (answer.status === 401) location.reload();
    return answer;
  };
})();
