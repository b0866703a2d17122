// Sends an image to the model and shows what comes back: colors over the image, each pixel's class
// and confidence, the mask to download. Text from outside is only ever set as text.
'use strict';

const part = id => document.getElementById(id);
const boxes = [...document.querySelectorAll('[data-class]')];
let shown = null; // the answer that is on the page, with its arrays
let asked = null; // the request on its way
let pointer = null; // column and row in pixels of the image

function bytesOf(text) {
  return Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
}

async function unpack(array) {
  if (array === null) return null;
  const packed = new Blob([bytesOf(array.gzip_base64)]).stream();
  const stream = packed.pipeThrough(new DecompressionStream('gzip'));
  const data = await new Response(stream).arrayBuffer();
  return array.dtype === 'uint8' ? new Uint8Array(data) : new Uint16Array(data);
}

// float16 arrives as its bits: sign, five of the exponent, ten of the fraction.
function half(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size = exponent === 0 ? fraction / 1024 / 16384 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return bits >> 15 ? -size : size;
}

function tell(text, bad = false) {
  part('status').textContent = text;
  part('status').classList.toggle('bad', bad);
}

async function predict(file, name) {
  if (asked !== null) asked.abort();
  const request = asked = new AbortController();
  tell('Predicting ' + name + ' …');
  try {
    const response = await fetch('/predict?details=1', {
      method: 'POST', body: file, signal: request.signal,
      headers: {'Content-Type': 'application/octet-stream'}});
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error.message);
    await show(answer, name);
    tell(name + ': ' + answer.width + ' × ' + answer.height + ' pixels, ' + answer.seconds.toFixed(2) + ' s');
  } catch (error) {
    if (error.name === 'AbortError') return;
    const lost = error instanceof TypeError;
    tell(name + ': ' + (lost ? 'the program does not answer; is it still running?' : error.message), true);
  } finally {
    if (asked === request) asked = null;
  }
}

async function show(answer, name) {
  const picture = new Blob([bytesOf(answer.picture.base64)], {type: answer.picture.type});
  const [labels, confidence, bitmap] = await Promise.all([
    unpack(answer.labels), unpack(answer.confidence), createImageBitmap(picture)]);
  shown = Object.assign(answer, {labels, confidence});
  for (const canvas of [part('picture'), part('overlay')]) {
    canvas.width = answer.width;
    canvas.height = answer.height;
  }
  part('picture').getContext('2d').drawImage(bitmap, 0, 0);
  paint();
  const total = answer.width * answer.height;
  answer.pixels.forEach((count, index) => {
    part('share' + index).textContent = (100 * count / total).toFixed(1) + ' %';
  });
  offer(answer.mask, name);
  pointer = null;
  part('cross').hidden = true;
  part('title').textContent = name;
  part('result').hidden = false;
}

function offer(mask, name) {
  const link = part('download');
  if (link.href) URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([bytesOf(mask.base64)], {type: mask.type}));
  link.download = name.replace(/\.[^.]*$/, '') + '_mask' + (mask.type === 'image/tiff' ? '.tif' : '.png');
}

function paint() {
  if (shown === null) return;
  const colors = new Uint8Array(4 * boxes.length); // red, green, blue, opacity; 0 where hidden
  boxes.forEach((box, index) => {
    if (box.checked) colors.set([...shown.palette[index], 255], 4 * index);
  });
  const words = new Uint32Array(colors.buffer);
  const image = new ImageData(shown.width, shown.height);
  const pixels = new Uint32Array(image.data.buffer);
  shown.labels.forEach((index, place) => { pixels[place] = words[index]; });
  part('overlay').getContext('2d').putImageData(image, 0, 0);
}

function point(column, row) {
  if (shown === null) return;
  const within = (value, size) => Math.max(0, Math.min(size - 1, Math.floor(value)));
  pointer = [within(column, shown.width), within(row, shown.height)];
  const place = pointer[1] * shown.width + pointer[0];
  const sure = shown.confidence === null ? 'the image is too large for confidences'
    : 'confidence ' + (100 * half(shown.confidence[place])).toFixed(1) + ' %';
  part('readout').textContent =
    shown.classes[shown.labels[place]] + ', ' + sure + ' (column ' + pointer[0] + ', row ' + pointer[1] + ')';
}

function follow(event) {
  if (shown === null) return;
  const box = part('stage').getBoundingClientRect();
  part('cross').hidden = true;
  point((event.clientX - box.left) * shown.width / box.width, (event.clientY - box.top) * shown.height / box.height);
}

const STEPS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

function move(event) {
  const step = STEPS[event.key];
  if (step === undefined || shown === null) return;
  event.preventDefault();
  const [column, row] = pointer ?? [Math.floor(shown.width / 2), Math.floor(shown.height / 2)];
  const far = event.shiftKey ? 10 : 1;
  point(column + far * step[0], row + far * step[1]);
  const cross = part('cross');
  cross.hidden = false;
  cross.style.left = 100 * (pointer[0] + .5) / shown.width + '%';
  cross.style.top = 100 * (pointer[1] + .5) / shown.height + '%';
}

async function predictSample(button) {
  const {place, name} = button.dataset;
  try {
    const response = await fetch('/samples/' + place);
    if (!response.ok) throw new Error((await response.json()).error.message);
    await predict(await response.blob(), name);
  } catch (error) {
    tell(name + ': ' + error.message, true);
  }
}

function setAll(checked) {
  for (const box of boxes) box.checked = checked;
  paint();
}

part('file').addEventListener('change', event => {
  const [file] = event.target.files;
  if (file !== undefined) predict(file, file.name);
  event.target.value = ''; // the same file may be chosen again
});
for (const kind of ['dragenter', 'dragover', 'dragleave', 'drop']) {
  document.addEventListener(kind, event => {
    event.preventDefault(); // else the browser leaves the page and opens the file
    part('drop').classList.toggle('over', kind === 'dragenter' || kind === 'dragover');
  });
}
document.addEventListener('drop', event => {
  const [file] = event.dataTransfer.files;
  if (file === undefined) tell('That is no file: drop an image file.', true);
  else predict(file, file.name);
});
document.querySelectorAll('.sample').forEach(button => {
  button.addEventListener('click', () => predictSample(button));
});
boxes.forEach(box => box.addEventListener('change', paint));
part('all').addEventListener('click', () => setAll(true));
part('none').addEventListener('click', () => setAll(false));
part('opacity').addEventListener('input', event => {
  part('overlay').style.opacity = event.target.value / 100;
  part('percent').textContent = event.target.value + ' %';
});
part('stage').addEventListener('pointermove', follow);
part('stage').addEventListener('keydown', move);
