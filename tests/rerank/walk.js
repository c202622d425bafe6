// Presses keys on the page of guidance.rerank and writes down what it shows after each.
addEventListener("load", () => {
  const byId = (id) => document.getElementById(id);
  const grid = byId("grid"), view = byId("view"), filter = byId("filter"), sort = byId("sort");
  const seen = [];
  let violations = 0;
  document.addEventListener("securitypolicyviolation", () => { violations += 1; });

  function note(did) {
    const active = document.activeElement, shown = [...grid.children].filter((i) => !i.hidden);
    const tops = shown.map((item) => item.offsetTop);
    seen.push({
      did,
      focus: active === filter ? "filter" : active.closest("li")?.dataset.name ?? active.tagName,
      shown: shown.map((item) => item.dataset.name),
      columns: tops.filter((top) => top === tops[0]).length,
      tabs: grid.querySelectorAll("[tabindex='0']").length,
      decoded: [...grid.querySelectorAll("img")].filter((i) => i.naturalWidth > 0).length,
      open: view.open,
      caption: byId("caption").textContent,
      place: byId("place").textContent,
      alt: byId("large").alt,
      scores: Object.fromEntries([...byId("scores").rows].map(
        (row) => [...row.cells].map((cell) => cell.textContent))),
      count: byId("count").textContent,
      theme: document.documentElement.dataset.theme,
      back: getComputedStyle(document.body).backgroundColor,
      violations,
    });
  }

  function press(key, did) {
    document.activeElement.dispatchEvent(
      new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    note(did);
  }

  function type(text, did) {
    filter.value = text;
    filter.dispatchEvent(new Event("input", { bubbles: true }));
    note(did);
  }

  function order(value, did) {
    sort.value = value;
    sort.dispatchEvent(new Event("change", { bubbles: true }));
    note(did);
  }

  note("start");
  press("ArrowRight", "right");
  press("ArrowDown", "down");
  press("ArrowDown", "down at the end");
  press("ArrowUp", "up");
  press("ArrowLeft", "left");
  press("ArrowLeft", "left at the start");
  press("End", "end");
  press("Home", "home");
  press("Enter", "enter");
  press("ArrowRight", "right in view");
  press("End", "end in view");
  press("Enter", "enter in view");
  press("Enter", "enter once more");
  press("Escape", "escape");
  press("/", "slash");
  type("FOX", "fox");
  press("Enter", "enter in filter");
  press("/", "slash again");
  type("near-duplicates group", "duplicates");
  press("Escape", "escape in filter");
  press("/", "slash at last");
  type("no such picture", "nothing");
  press("Escape", "escape again");
  order("-judge", "by judge");
  press("Home", "home by judge");
  order("+group", "by group");
  byId("theme").click();
  note("theme");
  byId("theme").click();
  note("theme again");
  const pre = document.createElement("pre");
  pre.id = "seen";
  pre.textContent = JSON.stringify(seen);
  document.body.append(pre);
});
