// What a visitor does without the page's buttons: keys, files that are dropped, pictures that are
// pasted, the line between two views. The 3D views are documents of their own, in which the same holds.
(() => {
  const TYPED = "input:not([type=range], [type=radio], [type=checkbox]), textarea, [contenteditable]";
  const find = (selector) => document.querySelector(selector);

  const usable = (control) => control && !control.disabled && control.offsetParent;

  // Both say whether they did anything: else the key is the browser's.
  function press(selector) {
    const button = find(selector);
    if (usable(button)) button.click();
    return usable(button);
  }

  // Counted from the number beside the thumb: Gradio gives a value before its maximum, and then the
  // thumb stays short of it.
  function step(by) {
    const slider = find("#moment input[type=range]");
    if (!usable(slider)) return false;
    slider.value = Number(find("#moment input[type=number]").value) + by;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    return true;
  }

  const KEYS = {
    " ": () => press("#play"),
    o: () => press("#reset"),
    c: () => press("#through"),
    f: () => press("#full"),
    "?": () => press("#keys-button"),
  };
  const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };  // viser turns by arrows

  // Only where nothing else has the focus: a single key must not surprise who types or speaks.
  function onKey(event, inView) {
    const at = event.target, free = inView || at === document.body || at.closest?.("#eye");
    if (!free || at.closest?.(TYPED) || find("#help dialog")?.open) return;
    if (event.repeat && KEYS[event.key]) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " && at.closest?.("button, label, input, a, summary")) return;
    let done = false;
    if (KEYS[event.key]) done = KEYS[event.key]();
    else if (event.key in STEPS && !inView && !at.closest?.("input, [role=tab]")) {
      done = step(STEPS[event.key]);
    }
    if (done) event.preventDefault();
  }

  // Files, as if they were chosen in the Upload tab.
  let given = 0;
  async function give(files) {
    const mine = ++given;
    const tabs = [...document.querySelectorAll("#tabs [role=tab]")];
    tabs.find((tab) => tab.textContent.trim() === "Upload")?.click();
    for (let tries = 0; tries < 50 && mine === given; tries++) {
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

  // What is lost of a tall picture where frames are squares, before its run: of the first file.
  let shown = 0;
  async function showCut(files) {
    const mine = ++shown, note = find("#cut figure");
    if (!note) return;
    note.hidden = true;
    const picture = files[0] && await (files[0].type.startsWith("video/") ? still(files[0])
      : createImageBitmap(files[0])).catch(() => null);  // of a kind that this browser cannot show
    if (!picture || mine !== shown) return;
    const width = picture.videoWidth || picture.width, height = picture.videoHeight || picture.height;
    const canvas = note.querySelector("canvas"), brush = canvas.getContext("2d");
    const small = document.createElement("canvas");
    small.height = canvas.height = 160;
    small.width = canvas.width = Math.max(1, Math.round(160 * width / height));
    small.getContext("2d").drawImage(picture, 0, 0, small.width, small.height);
    picture.close?.();  // it may be of a hundred megapixels
    if (height <= width) return;
    const edge = (canvas.height - canvas.width) / 2;
    const draw = () => {
      const whole = find("#whole input")?.checked;
      brush.drawImage(small, 0, 0);
      brush.fillStyle = "rgb(15 23 42 / 75%)";
      if (!whole) for (const top of [0, canvas.height - edge]) brush.fillRect(0, top, canvas.width, edge);
      note.querySelector("figcaption").textContent = `${width} × ${height}: ` + (whole ? "kept whole."
        : `${Math.round(50 * (1 - width / height))} % of its height is cut off above, as much below.`);
    };
    note.onchange = draw;
    draw();
    note.hidden = false;
  }

  async function still(file) {
    const video = Object.assign(document.createElement("video"), { muted: true, preload: "auto" });
    video.src = URL.createObjectURL(file);
    try {
      await new Promise((done, failed) => Object.assign(video, { onloadeddata: done, onerror: failed }));
      return video;
    } finally {
      URL.revokeObjectURL(video.src);
    }
  }

  // Gradio's own words for an upload that ends early say nothing of what to do.
  const fetch = window.fetch;
  window.fetch = async (what, ...how) => {
    const uploads = /\/upload\b/.test(what?.url ?? what) && how[0]?.method === "POST", note = find("#cut p");
    if (uploads && note) note.hidden = true;
    try {
      return await fetch(what, ...how);
    } catch (error) {
      if (uploads && note) note.hidden = false;
      throw error;
    }
  };

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
      const held = event.clipboardData, files = [...(held?.files || [])];
      const isText = event.target.closest?.(TYPED) || held?.types.includes("text/plain");
      if (files.length && !isText && !isReader()) give(files);
    });
  }

  document.addEventListener("change", (event) => {
    if (event.target.matches?.("#files input[type=file]")) showCut([...event.target.files]);
    if (event.target.closest?.("#whole")) find("#cut figure")?.onchange?.();
  }, true);
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#files button:is([aria-label=Clear], [aria-label^=Remove])")) showCut([]);
  }, true);
  document.addEventListener("drop", (event) => {
    if (event.target.closest?.("#files")) showCut([...event.dataTransfer.files]);
  }, true);
  document.addEventListener("input", (event) => {
    if (!event.target.matches?.("#swipe input")) return;
    find("#views").style.setProperty("--swipe", event.target.value / 100);
  });
  document.documentElement.classList.toggle("no-full", !document.fullscreenEnabled);
  attend(document, false);
  document.addEventListener("load", (event) => {
    if (event.target.matches?.("iframe.viewer")) attend(event.target.contentDocument, true);
  }, true);
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#help dialog")) find("#help dialog").close();
  });
})();
