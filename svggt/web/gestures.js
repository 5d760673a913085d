// What a visitor does without the page's buttons: keys, files that are dropped, pictures that are
// pasted. The 3D views are documents of their own, in which the same holds.
(() => {
  const TYPED = "input:not([type=range], [type=radio], [type=checkbox]), textarea, [contenteditable]";
  const find = (selector) => document.querySelector(selector);

  function press(selector) {
    const button = find(selector);
    if (button && !button.disabled && button.offsetParent) button.click();
  }

  function step(by) {
    const slider = find("#moment input[type=range]");
    if (!slider || slider.disabled || !slider.offsetParent) return;
    slider.value = Number(slider.value) + by;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  }

  const KEYS = {
    " ": () => press("#play"),
    o: () => press("#reset"),
    c: () => press("#through"),
    f: () => press("#full"),
    "?": () => find("#help dialog")?.showModal(),
  };
  const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };  // viser turns by arrows

  function onKey(event, inView) {
    const typing = event.target.closest?.(TYPED);
    if (typing || event.ctrlKey || event.metaKey || event.altKey || find("#help dialog")?.open) return;
    if (event.key === " " && event.target.closest?.("button, label, input, a, summary")) return;
    const action = KEYS[event.key];
    if (action) action();
    else if (!inView && event.key in STEPS && !event.target.closest?.("input, [role=tab]")) {
      step(STEPS[event.key]);
    } else return;
    event.preventDefault();
  }

  // Files, as if they were chosen in the Upload tab.
  async function give(files) {
    const tabs = [...document.querySelectorAll("#tabs [role=tab]")];
    tabs.find((tab) => tab.textContent.trim() === "Upload")?.click();
    for (let tries = 0; tries < 50; tries++) {
      const clear = find("#files button[aria-label=Clear]"), field = find("#files input[type=file]");
      if (clear) clear.click();
      else if (field) {
        const chosen = new DataTransfer();
        for (const file of files) chosen.items.add(file);
        field.files = chosen.files;
        field.dispatchEvent(new Event("change", { bubbles: true }));
        return;
      }
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  const isReader = () => document.body.classList.contains("reader");
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files") && !isReader();

  function attend(page, inView) {
    page.addEventListener("keydown", (event) => onKey(event, inView));
    page.addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
    page.addEventListener("drop", (event) => {
      if (!carriesFiles(event) || event.target.closest?.("#files")) return;
      event.preventDefault();
      give([...event.dataTransfer.files]);
    });
    page.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files || [])];
      if (files.length && !isReader()) give(files);
    });
  }

  attend(document, false);
  document.addEventListener("load", (event) => {
    if (event.target.matches?.("iframe.viewer")) attend(event.target.contentDocument, true);
  }, true);
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#help dialog")) find("#help dialog").close();
  });
})();
