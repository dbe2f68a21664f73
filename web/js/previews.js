/**
 * What the pack's nodes show in the page: above all the clip while it is being sampled.
 *
 * The nodes send what they have as an animated WebP. The page's own previews stand still on the classic canvas, and
 * on nodes drawn by Vue they hide a video that is the result; so the clip plays in an element of the node.
 */
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'

const WIDGET = 'megactor_clip_preview'
const LEAST_HEIGHT = 220

/** Nodes that play a clip, as "prompt node". */
const playing = new Set()
const keyOf = (promptId, nodeId) => `${promptId} ${nodeId}`

/** The element that plays on a node. */
const images = new WeakMap()

/** The node of an id; in subgraphs these are paths as "5:3". */
const nodeOf = (id) =>
  String(id)
    .split(':')
    .reduce((node, part) => (node ? node.subgraph : app.graph)?.getNodeById(part), null)

const webpOf = (base64) =>
  new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type: 'image/webp' })

const widgetOf = (node) => node.widgets?.find((one) => one.name === WIDGET)

const imageOf = (node) => {
  if (!images.has(node)) {
    const image = document.createElement('img')
    image.style.cssText = 'width: 100%; height: 100%; object-fit: contain; pointer-events: none'
    images.set(node, image)
  }
  return images.get(node)
}

const addWidget = (node, image) => {
  const widget = node.addDOMWidget(WIDGET, 'img', image, { serialize: false, hideOnZoom: false })
  widget.serialize = false
  widget.computeLayoutSize = () => ({ minHeight: LEAST_HEIGHT, minWidth: 1 })
  const [width, height] = node.computeSize()
  node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)])
}

const play = (node, webp) => {
  const image = imageOf(node)
  const before = image.src
  image.src = URL.createObjectURL(webp)
  if (before) URL.revokeObjectURL(before)
  // On the classic canvas the video of an earlier run makes room; the page puts the new one there.
  if (node.videoContainer) node.videoContainer.replaceChildren(image)
  else if (!widgetOf(node)) addWidget(node, image)
  node.setDirtyCanvas(true, true)
}

api.addEventListener('megactor.clip_preview', ({ detail }) => {
  const node = nodeOf(detail.node)
  if (!node) return
  play(node, webpOf(detail.webp))
  playing.add(keyOf(detail.prompt_id, detail.node))
})

// The still that every client gets is not shown beside the clip. The page listens after its extensions do.
api.addEventListener('b_preview_with_metadata', (event) => {
  if (playing.has(keyOf(event.detail.jobId, event.detail.displayNodeId))) event.stopImmediatePropagation()
})

for (const end of ['execution_success', 'execution_error', 'execution_interrupted']) {
  api.addEventListener(end, () => playing.clear())
}

// A node that shows its result needs no preview beside it.
api.addEventListener('executed', ({ detail }) => {
  const node = nodeOf(detail.display_node)
  const widget = node && widgetOf(node)
  if (widget && detail.output?.images?.length) node.removeWidget(widget)
})

app.registerExtension({
  name: 'MegActor.Previews',
  nodeCreated(node) {
    // The page takes pictures of a node with a video input for videos unless it is told.
    if (node.comfyClass === 'MegActorPrepareDriving') node.previewMediaType = 'image'
  }
})
