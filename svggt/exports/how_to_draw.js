// viser's client is dark where its address says so, as scenes are. A browser without a GPU draws
// pixels one by one, a second or more for a picture; a quarter of them, sampled once, takes a
// sixth. viser's own adaption takes pictures that slow for a still scene.
{
  const address = new URL(location);
  address.searchParams.set("darkMode", "");
  address.searchParams.delete("fixedDpr");
  const drawn = document.createElement("canvas").getContext("webgl2");
  const named = drawn?.getExtension("WEBGL_debug_renderer_info")?.UNMASKED_RENDERER_WEBGL;
  const renderer = drawn?.getParameter(named ?? drawn.RENDERER) ?? "";
  if (/swiftshader|llvmpipe|softpipe|software|basic render/i.test(renderer)) {
    address.searchParams.set("fixedDpr", devicePixelRatio / 2);
    const open = HTMLCanvasElement.prototype.getContext;
    HTMLCanvasElement.prototype.getContext = function (kind, options) {
      return open.call(this, kind, { ...options, antialias: false });
    };
    // After each picture the machine is others' for as long as the picture took.
    const next = requestAnimationFrame.bind(window), waiting = new Set();
    let last = 0, restsUntil = 0;
    window.requestAnimationFrame = (draw) => {
      const number = ++last;
      const go = (time) => {
        if (!waiting.has(number)) return;
        const began = performance.now();
        if (began < restsUntil) return next(go);
        waiting.delete(number);
        next(() => {
          const ended = performance.now();
          const took = Math.min(ended - began, 2000);  // longer: it was out of sight
          restsUntil = Math.max(restsUntil, ended + took);
        });
        draw(time);
      };
      waiting.add(number);
      next(go);
      return number;
    };
    window.cancelAnimationFrame = (number) => waiting.delete(number);
  }
  window.draws3d = drawn !== null;
  if (drawn) {
    // viser leaves out Gaussians that are narrower than a pixel: surfels, seen from far.
    const { shaderSource } = WebGL2RenderingContext.prototype;
    WebGL2RenderingContext.prototype.shaderSource = function (shader, text) {
      shaderSource.call(this, shader, text.replace("weightedDeterminant < 0.25", "false"));
    };
  }
  drawn?.getExtension("WEBGL_lose_context")?.loseContext();
  history.replaceState(null, "", address);
}
