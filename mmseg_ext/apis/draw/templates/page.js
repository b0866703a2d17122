// Shows which tables can be scrolled, lays label maps over their photos, and enlarges pictures.
// The page can be read without it. No character here may be one that XML has to escape.
'use strict';

function sayWhatIsWide() {
  for (const box of document.querySelectorAll('.scroll')) {
    const wide = box.scrollWidth > box.clientWidth + 1;
    box.previousElementSibling.hidden = !wide;
    box.tabIndex = wide ? 0 : -1;
  }
}

function layOver(part, over) {
  for (const old of part.querySelectorAll('.under')) old.remove();
  if (!over) return;
  for (const figure of part.querySelectorAll('figure')) {
    const photo = figure.querySelector('.photo img');
    for (const button of photo === null ? [] : figure.querySelectorAll('.labels')) {
      const under = photo.cloneNode();
      under.className = 'under';
      under.alt = '';
      button.prepend(under);
    }
  }
}

function offerOverlay(part) {
  if (part.querySelector('.labels') === null || part.querySelector('.photo') === null) return;
  const offer = part.querySelector('.over');
  const box = offer.querySelector('input');
  offer.hidden = false;
  box.addEventListener('change', () => layOver(part, box.checked));
  layOver(part, box.checked);
}

function enlarge(button) {
  const dialog = document.getElementById('large');
  const place = dialog.querySelector('div');
  const shown = button.querySelector('img:not(.under)');
  const ratio = shown.naturalWidth / shown.naturalHeight;
  place.className = button.className.replace('zoom', '');
  const room = document.documentElement.clientWidth * 0.92;
  place.style.width = Math.min(room, innerHeight * 0.82 * ratio) + 'px';
  place.style.background = button.style.background;
  place.replaceChildren(...[...button.children].map(image => image.cloneNode()));
  dialog.querySelector('p').textContent = shown.alt;
  dialog.showModal();
}

document.addEventListener('click', event => {
  const button = event.target.closest('.zoom');
  if (button !== null) enlarge(button);
});
document.querySelector('#large div').addEventListener('click', () => {
  document.getElementById('large').close();
});
document.querySelectorAll('.examples').forEach(offerOverlay);
new ResizeObserver(() => requestAnimationFrame(sayWhatIsWide)).observe(document.body);
sayWhatIsWide();
