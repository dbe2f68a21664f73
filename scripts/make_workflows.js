/**
 * Runs in ComfyUI's page: builds a graph out of a description and lays it out.
 *
 * @param {{id: string, columns: object[][]}} description a workflow of workflow_graphs/
 * @returns {Promise<{graph: string, prompt: string}>} JSON of the graph as the page saves it, and in API format
 */
async (description) => {
  const app = window.app
  const LiteGraph = window.LiteGraph
  const TITLE = LiteGraph.NODE_TITLE_HEIGHT
  // Nodes drawn by Vue name their pack at the bottom.
  const BADGE = 36
  const GAP = { column: 40, row: 36, group: 24, padding: 16 }

  const nodeOf = {}
  const slotOf = (slots, name, owner) => {
    const slot = slots.findIndex((one) => one.name === name)
    if (slot < 0) throw new Error(`${owner} has no ${name}, but ${slots.map((one) => one.name)}`)
    return slot
  }

  const create = (item) => {
    const node = LiteGraph.createNode(item.type ?? 'MarkdownNote')
    if (!node) throw new Error(`the host has no node ${item.type}`)
    app.graph.add(node)
    if (item.text) {
      node.title = item.title
      node.widgets[0].value = item.text
    }
    Object.assign(node.properties, item.properties)
    if (item.advanced) node.showAdvanced = true
    for (const [name, value] of Object.entries(item.widgets ?? {})) {
      const widget = node.widgets.find((one) => one.name === name)
      if (!widget) throw new Error(`${item.type} has no widget ${name}`)
      widget.value = value
    }
    const [width, height] = node.computeSize()
    const below = Math.max(item.preview, node.constructor.nodeData?.python_module.startsWith('custom_nodes') ? BADGE : 0)
    node.setSize([Math.max(width, item.width), item.height ?? height + below])
    if (item.name) nodeOf[item.name] = node
    return node
  }

  const stack = (items, x, y) => {
    const nodes = items.map(create)
    for (const node of nodes) {
      node.pos = [x, y]
      y += node.size[1] + TITLE + GAP.row
    }
    const width = Math.max(...nodes.map((node) => node.size[0]))
    return { width, bottom: y - TITLE - GAP.row }
  }

  const frame = (title, x, y, width, bottom) => {
    const group = new LiteGraph.LGraphGroup(title)
    const top = y - 2 * TITLE - GAP.padding
    group.pos = [x - GAP.padding, top]
    group.size = [width + 2 * GAP.padding, bottom - top + GAP.padding]
    app.graph.add(group)
  }

  app.graph.clear()
  let x = 0
  for (const column of description.columns) {
    let y = 0
    let widest = 0
    for (const part of column) {
      const { width, bottom } = stack(part.nodes ?? [part], x, y)
      if (part.nodes) frame(part.title, x, y, width, bottom)
      widest = Math.max(widest, width)
      y = bottom + 2 * GAP.padding + 2 * TITLE + GAP.group
    }
    x += widest + 2 * GAP.padding + GAP.column
  }

  const items = description.columns.flat().flatMap((part) => part.nodes ?? [part])
  for (const item of items) {
    for (const [input, source] of Object.entries(item.links ?? {})) {
      const [name, output] = source.split('.')
      const from = nodeOf[name]
      const to = nodeOf[item.name]
      from.connect(slotOf(from.outputs, output, name), to, slotOf(to.inputs, input, item.name))
    }
  }
  app.graph.id = description.id
  const { workflow, output } = await app.graphToPrompt()
  return { graph: JSON.stringify(workflow), prompt: JSON.stringify(output) }
}
