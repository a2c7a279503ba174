// How cells of tables are written, sorted and coloured. None is "unknown" and sorts last, never 0.
(function () {
  "use strict";
  const functions = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  const written = (places, sign) => {
    const format = new Intl.NumberFormat("en-US", {
      minimumFractionDigits: places, maximumFractionDigits: places, signDisplay: sign ? "exceptZero" : "negative",
    });
    return (value) => (typeof value === "number" && isFinite(value) ? format.format(value).replace("-", "\u2212") : unknown(value));
  };
  const unknown = (value) => (value === null || value === undefined ? "unknown" : String(value));
  const one = written(1, false), two = written(2, false);
  functions.exo = {
    money: two,
    price: two,
    ratio: two,
    days: (value) => (value > 0 && value < 0.05 ? "< 0.1" : one(value)),
    signed: written(2, true),
    whole: written(0, false),
    percent: (value) => (typeof value === "number" && isFinite(value) ? two(value * 100) + "\u00a0%" : unknown(value)),
    text: unknown,
    order: (a, b, nodeA, nodeB, descending) => {
      const missing = (value) => value === null || value === undefined || value === "";
      if (missing(a) || missing(b)) return missing(a) === missing(b) ? 0 : missing(a) === descending ? -1 : 1;
      if (typeof a === "number" && typeof b === "number") return a - b;
      return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
    },
    theme: (quartz) => quartz.withParams({
      fontFamily: "inherit", fontSize: 13, headerFontSize: 12, headerFontWeight: 600, spacing: 6, wrapperBorderRadius: 6,
      backgroundColor: "var(--exo-paper)", foregroundColor: "var(--exo-ink)", headerTextColor: "var(--exo-soft)",
      borderColor: "var(--exo-line)", headerBackgroundColor: "var(--exo-raised)", accentColor: "var(--exo-accent)",
    }),
  };
})();
